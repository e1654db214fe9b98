"""Pictures of an affinity matrix: the heat map, one per adapted block, and its evolution over training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.viz.heatmap import evolution, heatmap, heatmaps
from vtadapt.viz.panels import save_png


def draw(result: Mapping[str, Any], out: Path) -> dict[str, Path]:
    """Write the pictures that a result has content for; returns their paths by kind."""
    names = result["tasks"]
    halves = result.get("split_half")
    footer = f"{result['data']} {result['split']}, {result['batches']} batches" + (
        f" of {result['images_per_batch']} images" if "images_per_batch" in result else ""
    )
    footer += "" if halves is None else f"; two halves of the batches correlate {halves:.2f}"
    # Cosines are drawn on one scale in all pictures; the look-ahead's steps are small and get their own.
    values = np.abs(numbers(result["matrix"]))
    limits = (-float(np.nanmax(values)), float(np.nanmax(values))) if result["measure"] == "lookahead" else None
    files = {"plot": out / "affinity.png"}
    picture = heatmap(
        numbers(result["matrix"]),
        names,
        error=numbers(result["error"]),
        marked=np.array(result["marked"]),
        title=f"Task affinity ({result['measure']})",
        footer=footer,
        limits=limits,
    )
    save_png(files["plot"], picture)
    if "blocks" in result:
        files["blocks"] = out / "blocks.png"
        panels = [(name, numbers(block["matrix"])) for name, block in result["blocks"].items()]
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


def numbers(matrix: Any) -> np.ndarray:
    """Nested lists with None as an array with NaN."""
    return np.array(matrix, dtype=np.float64)
