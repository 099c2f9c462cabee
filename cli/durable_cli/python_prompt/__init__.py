"""`durable shell`: a Python prompt with one object at hand."""
