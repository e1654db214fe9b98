"""A pack read again: whether what it holds is what it says."""
