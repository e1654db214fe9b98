"""A run: its settings, what it is built of, its folder and checkpoints, and the data that it reads."""
