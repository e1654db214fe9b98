"""Pictures of an affinity matrix: the heat map, one per adapted block, and its evolution over training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.viz.matrices.evolution import evolution
from vtadapt.viz.matrices.heatmap import heatmap, heatmaps
from vtadapt.viz.panels import save_png


def draw(result: Mapping[str, Any], out: Path) -> dict[str, Path]:
    """Write the pictures that a result has content for; returns their paths by kind."""
    names = result["tasks"]
    title = "Task affinity learned in training" if "step" in result else f"Task affinity ({result['measure']})"
    shown = displayed(result)
    # Cosines are drawn on one scale in all pictures; the look-ahead's steps are small and get their own.
    bound = float(np.nanmax(np.abs(shown), initial=0.0))
    limits = (-bound, bound) if result["measure"] == "lookahead" and bound > 0 else None
    files = {"plot": out / "affinity.png"}
    picture = heatmap(
        shown,
        names,
        error=numbers(result["error"]),
        marked=np.array(result["marked"]),
        title=title,
        footer=footer_of(result),
        limits=limits,
    )
    save_png(files["plot"], picture)
    if "blocks" in result:
        files["blocks"] = out / "blocks.png"
        panels = [(name, displayed(block)) for name, block in result["blocks"].items()]
        save_png(
            files["blocks"],
            heatmaps(panels, names, title=f"Task affinity ({result['measure']}) by block", limits=limits),
        )
    if result.get("history"):
        files["evolution"] = out / "evolution.png"
        steps = [record["step"] for record in result["history"]]
        matrices = np.stack([numbers(record["matrix"]) for record in result["history"]])
        save_png(files["evolution"], evolution(steps, matrices, names, title="Task affinity over training (troa)"))
    return files


def footer_of(result: Mapping[str, Any]) -> str:
    """On what a matrix was measured."""
    if "step" in result:
        return f"{result['data']} {result['split']}, {result['batches']} updates up to step {result['step']}"
    text = f"{result['data']} {result['split']}, {result['batches']} batches, {result['images']} images"
    halves = result["split_half"]
    return text if halves is None else f"{text}; two halves of the batches correlate {halves:.2f}"


def displayed(result: Mapping[str, Any]) -> np.ndarray:
    """The matrix as it is drawn: A, but where the mean is negative beyond noise that mean: harm is no plain 0."""
    matrix, mean = numbers(result["matrix"]), numbers(result["mean"])
    return np.where((mean < 0) & ~np.array(result["marked"]), mean, matrix)


def numbers(matrix: Any) -> np.ndarray:
    """Nested lists with None as an array with NaN."""
    return np.array(matrix, dtype=np.float64)
