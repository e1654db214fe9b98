"""From files as published to a pack, and a pack read again."""
