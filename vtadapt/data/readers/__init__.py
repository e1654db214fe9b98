"""From files as published to samples: one file per source format, listed in ``table.py``."""
