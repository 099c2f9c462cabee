"""What user code holds: classes, values and interfaces. Standard library only; implementations live above."""
