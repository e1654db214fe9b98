"""Matrices of task affinities as pictures."""
