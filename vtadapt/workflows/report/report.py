"""``vtadapt report``: one self-contained page on a run, and the same as JSON."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vtadapt.atomic import disk_error, write_json, write_text
from vtadapt.data.pack.manifest import open_manifest
from vtadapt.errors import ConfigError, UsageError, VtadaptError, near_matches
from vtadapt.models.adapted import AdaptedModel
from vtadapt.version import __version__
from vtadapt.viz.report.pictures import Pictures, Shot
from vtadapt.viz.report.report import render
from vtadapt.workflows.info import describe_model
from vtadapt.workflows.report import facts
from vtadapt.workflows.report.samples import ATTENTION, Sampled, attention_shots, finest_block, sample
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import output_folder
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train import records

FORMAT = 1
SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class ReportOptions:
    """Where the images come from and how many are looked at.

    Attributes:
        split: that images are taken from.
        images: so many are scored per data set; 0 for none, which leaves all pictures out.
        data_dir: folder of the packs; None for the run's own.
        accelerator: None for the run's own.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    split: str = "val"
    images: int = 100
    data_dir: Path | None = None
    accelerator: str | None = None
    weights: str | None = None


def _page(out: Path | None, folder: Path) -> Path:
    if out is not None and (out.suffix.lower() not in SUFFIXES or out.is_dir()):
        raise UsageError(f"--out {os.fspath(out)!r}; wanted the name of an .html file")
    return out or folder / "report.html"


def report(
    run: Path,
    out: Path | None = None,
    options: ReportOptions | None = None,
    *,
    folder: Path = Path("runs"),
    quiet: bool = False,
) -> dict[str, Any]:
    """Write the page and, beside it, its numbers as JSON; what has no source here is said on the page, not an error.

    Args:
        run: a finished run.
        out: the .html file; None for ``report.html`` in the run's folder. The JSON has the same name with .json.
        options: see :class:`ReportOptions`.
        folder: of the runs, see :func:`vtadapt.workflows.run.folder.output_folder`.
        quiet: no progress.

    Returns:
        The content of the JSON: {"format", "vtadapt", "run", "name", "data", "tasks", "facts", "commands", "measured",
        "curves", "affinity", "samples", "attention", "ledger", "settings", "missing", "files"}.

    Raises:
        UsageError: a name that is not one of an HTML file, or whose JSON would replace another file; a split that the
            data does not have.
        ConfigError: the run does not load.
        DataError: the page cannot be written, or ``options.data_dir`` has no pack of the run's data.
    """
    options = options or ReportOptions()
    more = output_folder(run, folder)
    page = _page(out, more)
    sidecar = page.with_suffix(".json")
    _refuse_to_replace(sidecar)
    loaded = load_run(run, weights=options.weights)
    data_dir = options.data_dir or loaded.settings.data_dir
    _check_data(loaded.settings.data_names, data_dir, options)
    with disk_error(page):  # a place that cannot be is told before any work
        page.parent.mkdir(parents=True, exist_ok=True)
    update: dict[str, Any] = {"devices": 1, "num_nodes": 1, "data_dir": data_dir}
    update["accelerator"] = options.accelerator or loaded.settings.accelerator
    document = _facts(loaded, more)
    document["ledger"] = describe_model(loaded.model, loaded.tasks, loaded.size)
    loaded.settings = loaded.settings.model_copy(update=update)
    pictures = _pictures(loaded, options, document, quiet)
    document["files"] = {"html": str(page), "json": str(sidecar)}
    for line in [text for texts in document["missing"].values() for text in texts]:
        say(f"note: {line}")
    write_json(sidecar, document, checked=True)
    write_text(page, render(document, pictures))
    return document


def _refuse_to_replace(sidecar: Path) -> None:
    """UsageError where the JSON would take the place of anything but the JSON of an earlier report."""
    name = repr(os.fspath(sidecar))
    if sidecar.name in (files.CONFIG, files.RESULTS, files.AFFINITY):
        raise UsageError(f"the report's numbers would go to {name}, a name of a run's own files; name another --out")
    if not sidecar.exists():
        return
    try:
        known = files.read_json(sidecar).keys() >= {"vtadapt", "measured", "curves", "files"}
    except ConfigError:
        known = False
    if not known:
        raise UsageError(
            f"the report's numbers would replace {name}, which is no report; name another --out or move it"
        )


def _check_data(names: Sequence[str], data_dir: Path, options: ReportOptions) -> None:
    """Refuse a split that there cannot be, and a named folder without the packs; other lacks are said on the page."""
    for name in names:
        known, splits = name, [options.split]
        with contextlib.suppress(VtadaptError), contextlib.redirect_stderr(io.StringIO()):  # both are said later
            recipe = find_recipe(name, data_dir)
            known, splits = recipe.name, list(recipe.splits)
        if options.split not in splits:
            hint = f"{near_matches(options.split, splits)} Known: {', '.join(splits)}"
            raise UsageError(f"data set {known!r} has no split {options.split!r}.{hint}")
        if options.images and options.data_dir is not None:
            open_manifest(data_dir, known)


def _facts(loaded: Loaded, more: Path) -> dict[str, Any]:
    """All that the run's folder tells, and ``more``, which other commands write to."""
    run, settings = loaded.path, loaded.settings
    adapters = loaded.model.has_affinity
    totals, no_totals = records.totals_of(run)
    measured, no_metrics = records.measured_of(run, more)
    lines, no_lines = records.read_records(run / files.METRICS)
    curves = records.curves_of(lines, settings.val_images)
    affinity, no_affinity = facts.affinities_of(run, more, list(loaded.tasks), loaded.added)
    missing = {"run": no_totals, "metrics": no_metrics, "curves": no_lines, "affinity": no_affinity}
    _say_what_is_missing(missing, loaded, {"metrics": measured, "curves": lines, "affinity": affinity})
    keys: dict[str, set[str]] = {name: set(by_key) for name, by_key in curves["metrics"].items()}
    for entry in measured:
        for by_task in entry["metrics"].values():
            for name, values in by_task.items():
                keys.setdefault(name, set()).update(values)
    epochs = [record["epoch"] + 1 for record in lines if isinstance(record.get("epoch"), int)]
    asked = facts.as_asked(settings, totals, max(epochs, default=None))
    return {
        "format": FORMAT,
        "vtadapt": __version__,
        "run": str(run),
        "name": run.name,
        "data": settings.data,
        "tasks": facts.tasks_of(loaded.tasks, keys),
        "facts": facts.facts_of(loaded, totals),
        "commands": facts.commands_of(loaded, asked, adapters=adapters),
        "measured": measured,
        "curves": curves,
        "affinity": affinity,
        "settings": facts.settings_of(settings, asked),
        "missing": {section: texts for section, texts in missing.items() if texts},
    }


def _say_what_is_missing(missing: dict[str, list[str]], loaded: Loaded, found: Mapping[str, Sequence[Any]]) -> None:
    """Add to sections of which nothing was found, and nothing broken either, why that is, in one sentence each."""
    reasons = {
        "metrics": f"No metrics: the run has no {files.RESULTS}; vtadapt eval measures it.",
        "curves": f"No curves: the run has no {files.METRICS}.",
        "affinity": facts.no_affinity(loaded),
    }
    for section, reason in reasons.items():
        if not found[section] and not missing[section]:
            missing[section].append(reason)


def _pictures(loaded: Loaded, options: ReportOptions, document: dict[str, Any], quiet: bool) -> Pictures:
    """Predict for images of the packs; adds "samples" and "attention" to the document, and what is missing."""
    document["samples"], document["attention"] = {}, []
    missing: dict[str, list[str]] = document["missing"]
    found: dict[str, Sampled] = {}
    if options.images:
        fabric = open_fabric(loaded.settings)
        loaded.model.to(fabric.device)
        for name in loaded.settings.data_names:
            try:
                found[name] = sample(loaded, name, options.split, options.images, fabric, quiet=quiet)
            except VtadaptError as error:
                reason = " ".join(str(error).split())
                missing.setdefault("predictions", []).append(f"No predictions for {name}: {reason}.")
        document["samples"] = {name: each.about for name, each in found.items()}
    else:
        missing["predictions"] = ["No predictions: no image was asked for (--images 0)."]
    if not found:
        missing["extremes"] = ["No best and worst images: see the predictions above."]
    shots: list[Shot] = []
    photographs = [photograph for each in found.values() for photograph in each.photographs]
    if not loaded.model.has_attention:
        missing["attention"] = [f"No attention: a run of method {loaded.settings.method} has no adapted blocks."]
    elif not photographs:
        missing["attention"] = ["No attention: there is no image here to look at."]
    else:
        try:
            block = finest_block(list(cast(AdaptedModel, loaded.model).shared_parameters()))
            shots, document["attention"] = attention_shots(loaded.path, block, photographs[:ATTENTION])
        except VtadaptError as error:
            missing["attention"] = [f"No attention: {' '.join(str(error).split())}."]
    return Pictures(
        {name: each.samples for name, each in found.items()},
        {name: each.extremes for name, each in found.items()},
        shots,
    )
