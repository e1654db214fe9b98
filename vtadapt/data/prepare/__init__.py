"""From a reader's samples to a pack."""
