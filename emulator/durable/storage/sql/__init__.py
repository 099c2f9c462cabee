"""What code may say in SQL, what it gets back, and what it may not do."""
