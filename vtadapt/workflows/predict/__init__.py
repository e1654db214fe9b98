"""Predictions of a run for photographs and videos."""
