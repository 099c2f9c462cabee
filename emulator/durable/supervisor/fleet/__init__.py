"""Migrating the objects of a state directory that no emulator serves: many at a time, and to be taken up again."""
