"""Affinities between tasks: tensors in, matrix out; rows are sources, columns are targets, everywhere."""
