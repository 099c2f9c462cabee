"""The interactive shell of `durable sql`."""
