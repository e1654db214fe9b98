"""``affinity.json``: written by training and by ``vtadapt affinity``, and read with every shape checked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vtadapt.affinity.troa import Troa, marked
from vtadapt.atomic import write_json
from vtadapt.errors import ConfigError
from vtadapt.workflows.run import files

FORMAT = 2
THETA = "encoded features entering the first adapted block, image by image"
MATRICES = ("matrix", "mean", "error", "sd", "marked")


def describe(state: Troa) -> dict[str, Any]:
    """Matrices of TROA's state as plain lists; null where there is no number."""
    moments = state.moments
    return {
        "matrix": rows(state.affinity.masked_fill(moments.weight == 0, torch.nan)),
        "mean": rows(moments.mean),
        "error": rows(moments.error),
        "sd": rows(moments.sd),
        "effective": rows(moments.effective),
        "marked": marked(moments.mean, moments.error).tolist(),
        "weights": rows(state.weights),
    }


def rows(matrix: Tensor) -> list[list[float | None]]:
    """A matrix as lists for JSON, to 7 digits; what is not finite is null."""
    return [[float(f"{v:.7g}") if math.isfinite(v) else None for v in row] for row in matrix.tolist()]


def write_history(run: Path, config: Mapping[str, Any], step: int, conditioning: str) -> None:
    """Write ``affinity.json`` of a training run: what was measured up to the saved weights, and how it came about.

    Args:
        run: its folder, with ``metrics.jsonl``.
        config: its ``config.json``.
        step: of the saved weights.
        conditioning: "troa" where the matrix is the A of the saved weights; "identity" or "uniform" where A was fixed
            to that and the matrix only gave the weights of the losses.
    """
    history = [record for record in files.read_lines(run / files.METRICS) if record["split"] == "troa"]
    if not history:
        return
    for record in history:
        record.pop("split")
    reached = [record for record in history if record["step"] <= step]
    # Weights from before the first update have the A and W that training starts with.
    current = dict(reached[-1]) if reached else {**describe(Troa(len(config["tasks"]))), "step": 0}
    current["update_step"] = current.pop("step")
    about = {"format": FORMAT, "run": os.fspath(run), "data": config["data"], "split": "train", "measure": "troa"}
    about |= {"tasks": list(config["tasks"]), "batches": len(reached), "step": step, "theta": THETA}
    content = {**about, "conditioning": conditioning, **current, "history": history}
    write_json(run / files.AFFINITY, content, checked=True)


def read_affinity(path: Path, tasks: Sequence[str]) -> dict[str, Any]:
    """Read an ``affinity.json`` of a run with these tasks.

    Raises:
        ConfigError: missing, broken, of another version, or of other tasks.
    """
    content = files.read_json(path)
    advice = "measure it anew: vtadapt affinity RUN --measure troa"
    if content.get("format") != FORMAT:
        found = content.get("format")
        raise ConfigError(f"{os.fspath(path)!r}: found format {found!r}, wanted {FORMAT}, this version's; {advice}")
    try:
        if list(content["tasks"]) != list(tasks):
            raise ValueError(f"tasks {content['tasks']} are not those of the run")
        for where in (content, *content.get("history", [])):
            for key in MATRICES:
                _check(where[key], len(tasks), key)
            float(where["step"]) if "step" in where else None
        str(content["data"]), str(content["split"]), str(content["measure"]), int(content["batches"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ConfigError(f"{os.fspath(path)!r} is broken ({reason}); {advice}") from error
    return content


def _check(matrix: Any, size: int, key: str) -> None:
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"{key} is not {size} x {size}")
    for value in (v for row in matrix for v in row):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{key} holds {value}")
