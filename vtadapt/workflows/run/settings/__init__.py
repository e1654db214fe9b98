"""Settings of a run: their fields in groups, where their values come from, which of them a run reads."""

from vtadapt.workflows.run.settings.fields import TrainSettings
from vtadapt.workflows.run.settings.parse import parse_assignments, parse_by_method, parse_list, parse_size
from vtadapt.workflows.run.settings.resolve import load, resolve, save, validate

__all__ = [
    "TrainSettings",
    "load",
    "parse_assignments",
    "parse_by_method",
    "parse_list",
    "parse_size",
    "resolve",
    "save",
    "validate",
]
