"""The door from Python, see docs/python.md; :mod:`vtadapt` itself has its names, found on first use."""

from __future__ import annotations

from vtadapt.api.adding import add_task
from vtadapt.api.model import Model
from vtadapt.api.prediction import Prediction
from vtadapt.api.runs import create, load, prepare_data, train

__all__ = ["Model", "Prediction", "add_task", "create", "load", "prepare_data", "train"]
