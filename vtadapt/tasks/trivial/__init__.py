"""Trivial predictors: what is reached without a network."""
