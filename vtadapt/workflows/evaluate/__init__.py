"""Measuring a run: on its own data, and on data that it was not made for."""
