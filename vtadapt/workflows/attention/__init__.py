"""Where the adapted blocks of a run look."""
