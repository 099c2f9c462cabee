"""The host process: imports the user's program, runs its actors and workers, and can be thrown away at any moment."""
