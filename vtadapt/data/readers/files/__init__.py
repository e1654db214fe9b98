"""Formats of single files, and how folders are laid out, that several readers share."""
