"""Training: the loop, and what takes part in it."""
