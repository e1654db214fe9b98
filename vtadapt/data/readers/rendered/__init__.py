"""Synthetic data sets: every sample is rendered from its seed."""
