"""The one on-disk format, written whole or not at all."""
