"""Workflows: the only place where data, models, tasks and pictures meet; one file per command."""
