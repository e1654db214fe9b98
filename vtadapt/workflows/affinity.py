"""``vtadapt affinity``: task affinities of a trained run, saved and drawn, and what they say about grouping."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.affinity.grouping import group_tasks
from vtadapt.data.manifest import has_pack
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows import runs
from vtadapt.workflows.affinity_measure import AUTO, LEARNED, AffinityOptions, measure_affinity
from vtadapt.workflows.affinity_pictures import draw
from vtadapt.workflows.session import is_first_rank
from vtadapt.workflows.settings import load

RELIABLE = 0.9  # correlation of two halves below which a matrix is called noise


def affinity_of_run(run: Path, options: AffinityOptions, *, quiet: bool = False) -> dict[str, Any]:
    """Measure the affinities of a finished run, or read what its training learned.

    Returns:
        The content of ``affinity.json``: ``matrix`` (what is shown), ``mean`` (signed), ``sd``, ``error`` (standard
        error of the mean), ``count``, ``marked`` (cells not told apart from noise), ``split_half``, ... Rows are
        sources, columns targets; None where a pair has no image with both labels.

    Raises:
        UsageError: a budget of groups that does not fit the number of tasks.
        ConfigError: the run has one task, or no adapters.
        DataError: no image has labels of two tasks.
    """
    options = chosen(run, options)
    tasks = runs.read_json(run / runs.CONFIG).get("tasks", {})
    if options.groups is not None and not 1 <= options.groups <= max(1, len(tasks)):
        raise UsageError(f"--groups {options.groups}: wanted 1 to {len(tasks)}, the number of tasks of {run.name!r}")
    result = _learned(run) if options.measure == LEARNED else measure_affinity(run, options, quiet)
    if options.groups is not None:
        names = result["tasks"]
        found = group_tasks(result["mean"], names, options.groups, error=result["error"])
        result["groups"] = {
            "budget": options.groups,
            "groups": [list(group) for group in found.groups],
            "total": found.total,
            "per_task": found.per_task,
            "exact": found.exact,
            "runner_up": found.runner_up and [list(group) for group in found.runner_up.groups],
            "lead": found.lead,
            "lead_error": found.lead_error,
            "unmeasured": [list(pair) for pair in found.unmeasured],
        }
    return result


def chosen(run: Path, options: AffinityOptions) -> AffinityOptions:
    """``options`` with "auto" resolved; says so where the data is missing."""
    if options.measure != AUTO:
        return options
    settings = load(run / runs.SETTINGS)
    names = [name.strip() for name in (options.data or settings.data).split("+")]
    missing = [name for name in names if not has_pack(options.data_dir or settings.data_dir, name)]
    if not missing or options.data or not (run / runs.AFFINITY).is_file():
        return replace(options, measure="troa")
    print(
        f"{', '.join(missing)} is not prepared here: showing the affinity that the run's training learned; "
        f"--measure troa measures it (vtadapt prepare-data {missing[0]} first)",
        file=sys.stderr,
    )
    return replace(options, measure=LEARNED)


def _learned(run: Path) -> dict[str, Any]:
    path = run / runs.AFFINITY
    if not path.is_file():
        raise ConfigError(
            f"run {os.fspath(run)!r} learned no affinity (no {runs.AFFINITY}: one task, or A fixed); measure it: "
            "vtadapt affinity --measure troa"
        )
    return runs.read_json(path)


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the matrix must be told, one line each."""
    lines = []
    r = result.get("split_half")
    if result["measure"] != LEARNED and r is not None and r < RELIABLE:
        lines.append(
            f"two halves of the batches correlate {r:.2f} off the diagonal (wanted {RELIABLE}): this matrix is largely "
            f"noise; raise --batches above {result['batches']}"
        )
    noisy = [
        f"{s} -> {t}"
        for s, row in zip(result["tasks"], result["marked"], strict=True)
        for t, mark in zip(result["tasks"], row, strict=True)
        if mark
    ]
    if noisy:
        lines.append(
            f"not told apart from noise (within 2 standard errors of 0, or never measured): {', '.join(noisy)}"
        )
    for task, count in result.get("left_out", {}).items():
        lines.append(f"{count} images were left out for {task!r}: its loss or gradient there is zero or not finite")
    return lines


def save(result: dict[str, Any], out: Path, plot: bool) -> dict[str, str]:
    """Write ``affinity.json``, ``affinity.npz`` and, with ``plot``, the pictures; returns their paths by kind."""
    files = {"npz": out / "affinity.npz"}
    arrays: dict[str, Any] = {k: np.array(result[k], dtype=np.float64) for k in ("matrix", "mean", "sd", "error")}
    for key in ("tasks", "measure", "data", "batches", "count"):
        if key in result:
            arrays[key] = np.array(result[key])
    runs.write_arrays(files["npz"], arrays)
    if plot:
        files |= draw(result, out)
    files["json"] = out / "affinity.json"
    result["files"] = {kind: os.fspath(path) for kind, path in files.items()}
    runs.write_json(files["json"], result)
    return result["files"]


def run_affinity(
    run: Path, options: AffinityOptions, *, out: Path | None = None, plot: bool = False, quiet: bool = False
) -> dict[str, Any] | None:
    """Measure, save, draw and warn; None on ranks other than the first.

    Args:
        run: folder of a finished run.
        options: what to measure.
        out: folder to write to; None for ``affinity/MEASURE`` in the run's folder, see :func:`runs.output_folder`.
        plot: draw pictures.
        quiet: no progress.
    """
    options = chosen(run, options)
    result = affinity_of_run(run, options, quiet=quiet)
    if not is_first_rank():
        return None
    save(result, out or runs.output_folder(run) / "affinity" / options.measure, plot)
    for line in warnings_of(result):
        print(f"warning: {line}", file=sys.stderr)
    return result
