"""Data sets as they were published: one file per data set."""
