"""One file per command. Each imports inside its function, so that no command pays for another's imports."""
