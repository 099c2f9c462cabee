"""The `durable` command: words to humans, exit codes. Everything it does is done by `durable`."""
