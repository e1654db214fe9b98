"""``vtadapt affinity``: task affinities of a trained run, saved and drawn, and what they say about grouping."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.affinity.grouping import group_tasks
from vtadapt.atomic import need_writable, write_json
from vtadapt.data.pack.manifest import has_pack
from vtadapt.digits import amount
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.affinity.measure import AUTO, LEARNED, AffinityOptions, measure_affinity
from vtadapt.workflows.affinity.pictures import draw
from vtadapt.workflows.run import files
from vtadapt.workflows.run.added import names_of
from vtadapt.workflows.run.affinity_file import read_affinity
from vtadapt.workflows.run.devices import is_first_rank
from vtadapt.workflows.run.folder import alone, output_folder
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.terminal.text import say, warn

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
    tasks, added = files.read_json(run / files.CONFIG).get("tasks", {}), names_of(run)
    learned = options.measure == LEARNED
    count = len(tasks) if learned else len(tasks) + len(added)
    if options.groups is not None and not 1 <= options.groups <= max(1, count):
        raise UsageError(f"--groups {options.groups}: wanted 1 to {count}, the number of tasks of {run.name!r}")
    if learned and added:
        say(f"note: {', '.join(added)} was added after the training of this matrix; --measure troa measures all tasks")
    result = _learned(run, options, list(tasks)) if learned else measure_affinity(run, options, quiet)
    if options.groups is not None:
        result["groups"] = grouped(result, options.groups)
    return result


def grouped(result: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """The best way to share out the tasks of a matrix among at most ``budget`` networks, and how sure that is."""
    found = group_tasks(result["mean"], result["tasks"], budget, error=result["error"])
    return {
        "budget": budget,
        "groups": [list(group) for group in found.groups],
        "total": found.total,
        "per_task": found.per_task,
        "exact": found.exact,
        "runner_up": found.runner_up and [list(group) for group in found.runner_up.groups],
        "lead": found.lead,
        "lead_error": found.lead_error,
        "unmeasured": [list(pair) for pair in found.unmeasured],
    }


def affinity_files(run: Path, more: Path) -> list[Path]:
    """The matrices of a run: what its training learned, where it did, then what ``vtadapt affinity`` measured.

    Args:
        run: folder of the run.
        more: folder that ``vtadapt affinity`` writes ``affinity/MEASURE`` into.
    """
    learned = run / files.AFFINITY
    measured = sorted((more / "affinity").glob(f"*/{files.AFFINITY}"))
    measured = [path for path in measured if path.parent.name != LEARNED]  # a copy of what stands in the run's folder
    return [*([learned] if learned.is_file() else []), *measured]


def chosen(run: Path, options: AffinityOptions) -> AffinityOptions:
    """``options`` with "auto" resolved; says so where the data is missing."""
    if options.measure != AUTO:
        return options
    settings = load(run / files.SETTINGS)
    names = [name.strip() for name in (options.data or settings.data).split("+")]
    missing = [name for name in names if not has_pack(options.data_dir or settings.data_dir, name)]
    if not missing or options.particular or not (run / files.AFFINITY).is_file():
        return replace(options, measure="troa")
    say(
        f"{', '.join(missing)} is not prepared here: showing the affinity that the run's training learned; "
        f"--measure troa measures it (vtadapt prepare-data {missing[0]} first)"
    )
    return replace(options, measure=LEARNED)


def _learned(run: Path, options: AffinityOptions, tasks: Sequence[str]) -> dict[str, Any]:
    if options.particular:
        named = ", ".join(options.particular)
        raise UsageError(f"measure {LEARNED!r} reads what training left; found {named} beside it, leave that out")
    path = run / files.AFFINITY
    if not path.is_file():
        method = load(run / files.SETTINGS).method
        why = "one task" if len(tasks) < 2 else "A was fixed, or no update came before its last step"
        if not METHODS[method].affinity:
            why = f"method {method!r} has no affinity; wanted a run of --method {listed(those(lambda m: m.affinity))}"
        raise ConfigError(f"run {os.fspath(run)!r} learned no affinity: no {files.AFFINITY} there ({why})")
    return {**read_affinity(path, tasks), "measure": LEARNED}


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the matrix must be told, one line each."""
    lines = [*_reliability(result)]
    measured = {(s, t): result["mean"][i][j] for i, s, j, t in _cells(result)}
    marks = {(s, t) for i, s, j, t in _cells(result) if result["marked"][i][j]}
    never = [pair for pair, value in measured.items() if value is None]
    noisy = [pair for pair in measured if pair in marks and pair not in never]
    harm = [pair for pair, value in measured.items() if pair not in marks and value is not None and value < 0]
    for pairs, text in ((never, "never measured, no image has both labels"), (noisy, "not told apart from noise")):
        if pairs:
            lines.append(f"{text}: {', '.join(f'{s} -> {t}' for s, t in pairs)}")
    if harm:
        lines.append("harm: " + ", ".join(f"{s} -> {t} ({amount(float(measured[s, t]))})" for s, t in harm))
    for task, count in result.get("left_out", {}).items():
        lines.append(f"{count} images were left out for {task!r}: its loss or gradient there is zero or not finite")
    if result.get("conditioning", "troa") != "troa":
        lines.append(f"A was fixed to {result['conditioning']} in this run; the matrix only weighted the losses")
    groups = result.get("groups", {})
    if groups.get("lead_error") and groups["lead"] < 2 * groups["lead_error"]:
        lines.append("the best grouping is not told apart from the next best")
    if groups.get("unmeasured"):
        lines.append("pairs that were never measured count as 0 in the grouping")
    return lines


def _reliability(result: Mapping[str, Any]) -> Iterator[str]:
    """What two halves of the batches say, where there were batches.

    Two cells always correlate by 1 or -1, so of two tasks the halves say nothing; their errors do, see ``marked``.
    """
    if result["measure"] == LEARNED:
        return
    more = "the data has no more images" if result["exhausted"] else f"raise --batches above {result['batches']}"
    r, pairs = result["split_half"], [cell for cell in _cells(result) if _off_diagonal(result, cell)]
    if r is None:
        if len(pairs) > 2 or result["batches"] < 2:
            yield f"two halves of the batches could not be compared ({result['batches']} batches)"
    elif r < RELIABLE:
        yield f"two halves correlate {r:.2f} off the diagonal, wanted {RELIABLE}: largely noise; {more}"
    if result["exhausted"]:
        yield f"the data gave {result['batches']} batches, {result['images']} images in all; more were asked for"


def _off_diagonal(result: Mapping[str, Any], cell: tuple[int, str, int, str]) -> bool:
    """Whether a cell of two different tasks was measured."""
    return cell[0] != cell[2] and result["mean"][cell[0]][cell[2]] is not None


def _cells(result: Mapping[str, Any]) -> Iterator[tuple[int, str, int, str]]:
    for i, source in enumerate(result["tasks"]):
        for j, target in enumerate(result["tasks"]):
            yield i, source, j, target


def save(result: dict[str, Any], out: Path, plot: bool) -> dict[str, str]:
    """Write ``affinity.json``, ``affinity.npz`` and, with ``plot``, the pictures; returns their paths by kind."""
    written = {"npz": out / "affinity.npz"}
    arrays: dict[str, Any] = {k: np.array(result[k], dtype=np.float64) for k in ("matrix", "mean", "sd", "error")}
    for key in ("tasks", "measure", "data", "batches", "count"):
        if key in result:
            arrays[key] = np.array(result[key])
    files.write_arrays(written["npz"], arrays)
    if plot:
        written |= draw(result, out)
    written["json"] = out / "affinity.json"
    result["files"] = {kind: os.fspath(path) for kind, path in written.items()}
    write_json(written["json"], result, checked=True)
    return result["files"]


def run_affinity(
    run: Path,
    options: AffinityOptions,
    *,
    out: Path | None = None,
    plot: bool = False,
    quiet: bool = False,
    folder: Path = Path("runs"),
) -> dict[str, Any] | None:
    """Measure, save, draw and warn; None on ranks other than the first.

    Args:
        run: folder of a finished run.
        options: what to measure.
        out: folder to write to; None for ``affinity/MEASURE`` in the run's folder, see :func:`output_folder`.
        plot: draw pictures.
        quiet: no progress.
        folder: of the runs, see :func:`output_folder`.
    """
    if out is not None and out.resolve() == run.resolve():
        raise UsageError(
            f"--out {os.fspath(out)!r} is the run's own folder, whose {files.AFFINITY} stays; name another"
        )
    options = chosen(run, options)
    place = out or output_folder(run, folder) / "affinity" / options.measure
    need_writable(place)
    result = affinity_of_run(run, options, quiet=quiet)
    if not is_first_rank():
        return None
    with alone(place, "measurement", "the same command again"):  # its files belong together
        save(result, place, plot)
    for line in warnings_of(result):
        warn(line)
    return result
