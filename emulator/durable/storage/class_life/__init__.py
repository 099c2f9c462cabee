"""The life of classes: what the configuration asks for, against recorded state, and doing it to records and folders."""
