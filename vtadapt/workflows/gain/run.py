"""``vtadapt affinity-gain``: which labels help a task of which few are labelled, predicted and measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.atomic import need_writable, write_json, write_text
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import ConfigError, DataError, UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.workflows.gain.cell import Cell
from vtadapt.workflows.gain.grid import CELLS, FORMAT, open_bench, run_cells
from vtadapt.workflows.gain.judge import ceiling, choices, gain, gains_of, judged, summary_of
from vtadapt.workflows.gain.options import PREDICTORS, GainOptions
from vtadapt.workflows.gain.predictors.predict import Predicted, predict
from vtadapt.workflows.gain.tables import markdown
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import find_data
from vtadapt.workflows.run.data.same_packs import digests_of
from vtadapt.workflows.run.folder import alone
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.text import say

GAIN, TABLE, PLAN = "gain.json", "table.md", "plan.json"
MEASURED = ("none", "top", "pairs", "all")
JUDGED = ("pairs", "all")  # enough to judge predictors by
TOP = 2  # sources of each target that are measured with "top"


def affinity_gain(
    settings: TrainSettings,
    options: GainOptions,
    targets: Sequence[str] | None,
    measured: str,
    quiet: bool,
    out: Path | None,
) -> dict[str, Any]:
    """Predict which sources help each target, and measure how much; see ``vtadapt affinity-gain --help``.

    Args:
        settings: data, tasks, steps and network of each training.
        options: what is scarce, and the seeds.
        targets: the tasks that are asked about; None for all.
        measured: "none": only the prediction; "top": the target alone and with its two first sources, over the seeds;
            "pairs": with each source, and every predictor judged by these; "all": with all of the sources at once,
            too, weighted alike and by the predictor's scores.
        quiet: no progress.
        out: folder; default ``RUN_DIR/gain-DATA``.

    Returns:
        The content of ``gain.json``.

    Raises:
        UsageError: an unknown task or choice.
        ConfigError: fewer than two tasks, several data sets, batches of one image, or a folder of another yardstick.
        DataError: too few images with labels of a task.
    """
    if measured not in MEASURED:
        raise UsageError(
            f"--measure {measured!r}; wanted one of {', '.join(MEASURED)}.{near_matches(measured, MEASURED)}"
        )
    if len(settings.data_names) > 1:
        raise ConfigError(f"{settings.data!r} is several data sets; wanted one")
    if settings.batch_size < 2:
        raise ConfigError("batch_size 1; wanted 2 or more: half of each batch has labels of the target")
    data = find_data(settings)
    tasks = build_tasks(data.trained, settings.tasks)
    asked = _targets(tasks, targets)
    folder = out or settings.run_dir / f"gain-{settings.data}"
    need_writable(folder)
    ensure_synthetic(data, settings.data_dir, quiet=quiet)
    with alone(folder, "yardstick"):
        packs = digests_of([recipe.name for recipe in data.trained], settings.data_dir)
        _keep_to_plan(folder, options.plan(settings, tasks, packs))
        (folder / CELLS).mkdir(exist_ok=True)
        predicted = _predictions(folder, settings, tasks, options, asked, measured, quiet)
        cells = _cells(asked, tasks, options, measured, predicted)
        weights = {cell: weights_of(predicted[cell.weighted].scores[cell.target]) for cell in cells if cell.weighted}
        found = run_cells(cells, folder, settings, tasks, options, "affinity-gain", quiet, weights)
        result = _result(settings, tasks, options, asked, measured, predicted, found)
        write_json(folder / GAIN, {**result, "folder": os.fspath(folder)}, checked=True)
        write_text(folder / TABLE, markdown(result))
    return {**result, "folder": os.fspath(folder)}


def _targets(tasks: Mapping[str, Task], wanted: Sequence[str] | None) -> list[str]:
    if len(tasks) < 2:
        raise ConfigError(
            f"one task ({', '.join(tasks)}) has no other that could help it; wanted two or more in --tasks"
        )
    for name in wanted or ():
        if name not in tasks:
            raise UsageError(f"unknown target {name!r}; wanted of {', '.join(tasks)}.{near_matches(name, tasks)}")
    return [*dict.fromkeys(wanted or tasks)]


def _keep_to_plan(folder: Path, identity: Mapping[str, Any]) -> None:
    """Note what decides the numbers, or refuse a folder in which that was otherwise."""
    path = folder / PLAN
    if not path.is_file():
        write_json(path, {"format": FORMAT, **identity})
        return
    there = files.read_json(path)
    for key, value in identity.items():
        if key in there and there[key] != value:  # an older version noted less
            raise ConfigError(
                f"{os.fspath(folder)!r} was measured with {key} = {there[key]!r}, wanted {value!r}: keep to what "
                "it began with, or name another folder with --out"
            )


def _predictions(
    folder: Path,
    settings: TrainSettings,
    tasks: Mapping[str, Task],
    options: GainOptions,
    targets: Sequence[str],
    measured: str,
    quiet: bool,
) -> dict[str, Predicted]:
    """The scores of the predictor, or of all of them where they can be judged; kept once they are known."""
    names = PREDICTORS if measured in JUDGED else (options.predictor,)
    out: dict[str, Predicted] = {}
    bench = None
    for name in names:
        path = folder / f"predicted-{name}-seed{options.seeds[0]}.json"
        if path.is_file():
            kept = _kept(path)
            if set(targets) <= set(kept.scores):
                out[name] = kept
                continue
        if not quiet:
            say(f"predicting by {name}")
        bench = bench or open_bench(settings, tasks, options, targets)
        out[name] = predict(name, bench, settings, options, targets, options.seeds[0])
        write_json(path, {"format": FORMAT, "scores": out[name].scores, "cpu_seconds": out[name].cpu_seconds})
    return out


def _kept(path: Path) -> Predicted:
    content = files.read_json(path)
    scores, seconds = content.get("scores"), content.get("cpu_seconds")
    if content.get("format") != FORMAT or not isinstance(scores, dict) or not isinstance(seconds, float | int):
        raise DataError(f"{os.fspath(path)!r} is no prediction; remove it, and it is made again")
    return Predicted(scores, float(seconds))


def _cells(
    targets: Sequence[str],
    tasks: Mapping[str, Task],
    options: GainOptions,
    measured: str,
    predicted: Mapping[str, Predicted],
) -> list[Cell]:
    """What must be trained, seed by seed, so that whole seeds are there first."""
    cells: list[Cell] = []
    for seed in options.seeds if measured != "none" else ():
        for target in targets:
            scores = predicted[options.predictor].scores[target]
            sources = sorted((s for s in tasks if s != target), key=scores.__getitem__, reverse=True)
            some = sources if measured in JUDGED else sources[:TOP]
            cells += [Cell(target, chosen, seed, options.scarce) for chosen in ((), *((s,) for s in some))]
            if measured == "all" and len(sources) > 1:
                every = tuple(s for s in tasks if s != target)
                cells += [Cell(target, every, seed, options.scarce, by) for by in ("", options.predictor)]
    return cells


def weights_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Factors on the losses of the sources: their scores as shares of the best, those below 0 as 0.

    Where no score is above 0 nothing is known, and all have 1.
    """
    best = max(scores.values())
    return {source: max(score, 0.0) / best if best > 0 else 1.0 for source, score in scores.items()}


def _result(
    settings: TrainSettings,
    tasks: Mapping[str, Task],
    options: GainOptions,
    targets: Sequence[str],
    measured: str,
    predicted: Mapping[str, Predicted],
    found: Mapping[Cell, Mapping[str, Any]],
) -> dict[str, Any]:
    gains = gains_of(found, tasks)
    scores = predicted[options.predictor].scores
    about = {**options.identity(settings, tasks), "seeds": list(options.seeds), "measured": measured}
    out: dict[str, Any] = {
        "format": FORMAT,
        **about,
        "headlines": {name: tasks[name].headline for name in targets},
        "predictor": options.predictor,
        "scores": {target: scores[target] for target in targets},
        "cpu_seconds": {
            "predicting": {name: round(each.cpu_seconds, 1) for name, each in predicted.items()},
            "measuring": round(sum(each["cpu_seconds"] for each in found.values()), 1),
        },
        "gains": summary_of(gains),
    }
    if measured in JUDGED:
        for how, each_gain in {"": gains, "_by_loss": gains_of(found, tasks, by_loss=True)}.items():
            out[f"ceiling{how}"] = ceiling(each_gain)
            out[f"judged{how}"] = {name: judged(each_gain, each.scores) for name, each in predicted.items()}
        together = {kind: _with_all(found, tasks, by) for kind, by in (("all", ""), ("weighted", options.predictor))}
        out["choices"] = choices(gains, scores, together)
    return out


def _with_all(
    found: Mapping[Cell, Mapping[str, Any]], tasks: Mapping[str, Task], weighted: str
) -> dict[str, dict[int, float]]:
    """Target -> seed -> gain with all other tasks as sources, weighted by a predictor's scores or ("") all alike."""
    out: dict[str, dict[int, float]] = {}
    for cell, content in found.items():
        if len(cell.sources) == len(tasks) - 1 > 1 and cell.weighted == weighted:
            paired_with = found[Cell(cell.target, (), cell.seed, cell.scarce)]
            out.setdefault(cell.target, {})[cell.seed] = gain(tasks[cell.target], paired_with, content)
    return out
