"""What is done with one object or a page of them, through the running emulator or on the files under the lock."""
