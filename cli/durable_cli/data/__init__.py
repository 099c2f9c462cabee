"""Objects' data moved as a whole: copied out, put in, deleted and listed, with the emulator running or not."""
