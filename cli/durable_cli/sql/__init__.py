"""`durable sql`: rows of one object or of all, and how they are shown."""
