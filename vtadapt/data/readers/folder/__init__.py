"""Data of your own: pictures and labels found by patterns that a recipe gives; see ``folder.py``."""
