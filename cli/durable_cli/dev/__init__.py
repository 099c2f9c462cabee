"""`durable dev`: its workers, log, keys and terminal, from the first process to the last."""
