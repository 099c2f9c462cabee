"""One actor's concurrency: turns, gates, critical sections, sockets, life cycle. Knows no process and no network."""
