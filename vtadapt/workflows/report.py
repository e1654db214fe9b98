"""``vtadapt report``: one self-contained page on a run, and the same as JSON."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtadapt import __version__
from vtadapt.data.atomic import disk_error
from vtadapt.errors import UsageError, VtadaptError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.viz.report import Pictures, render
from vtadapt.viz.report_pictures import Shot
from vtadapt.workflows import report_facts as facts
from vtadapt.workflows import runs
from vtadapt.workflows.info import describe_model
from vtadapt.workflows.report_samples import ATTENTION, Sampled, attention_shots, finest_block, sample
from vtadapt.workflows.session import Loaded, load_run, open_fabric

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
    """

    split: str = "val"
    images: int = 100
    data_dir: Path | None = None
    accelerator: str | None = None


def report(
    run: Path, out: Path | None = None, options: ReportOptions | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Write the page and, beside it, its numbers as JSON; what has no source here is said on the page, not an error.

    Args:
        run: a finished run.
        out: the .html file; None for ``report.html`` in the run's folder. The JSON has the same name with .json.
        options: see :class:`ReportOptions`.
        quiet: no progress.

    Returns:
        The content of the JSON: {"format", "vtadapt", "run", "name", "data", "tasks", "facts", "commands", "measured",
        "curves", "affinity", "samples", "attention", "ledger", "settings", "missing", "files"}.

    Raises:
        UsageError: a name that is not one of an HTML file.
        ConfigError: the run does not load.
        DataError: the page cannot be written.
    """
    options = options or ReportOptions()
    if out is not None and (out.suffix.lower() not in SUFFIXES or out.is_dir()):
        raise UsageError(f"--out {os.fspath(out)!r}; wanted the name of an .html file")
    loaded = load_run(run)
    page = out or runs.output_folder(run, loaded.settings.run_dir) / "report.html"
    with disk_error(page):  # a place that cannot be is told before any work
        page.parent.mkdir(parents=True, exist_ok=True)
    update: dict[str, Any] = {"devices": 1, "num_nodes": 1, "data_dir": options.data_dir or loaded.settings.data_dir}
    update["accelerator"] = options.accelerator or loaded.settings.accelerator
    document = _facts(loaded)
    document["ledger"] = describe_model(loaded.model, loaded.tasks, loaded.size)
    loaded.settings = loaded.settings.model_copy(update=update)
    pictures = _pictures(loaded, options, document, quiet)
    sidecar = page.with_suffix(".json")
    document["files"] = {"html": str(page), "json": str(sidecar)}
    for line in [text for texts in document["missing"].values() for text in texts]:
        print(f"note: {line}", file=sys.stderr)
    runs.write_json(sidecar, document)
    runs.write_text(page, render(document, pictures))
    return document


def _facts(loaded: Loaded) -> dict[str, Any]:
    """All that the run's folder tells."""
    run, settings = loaded.path, loaded.settings
    adapters = isinstance(loaded.model, AdaptedModel)
    measured = facts.measured_of(run)
    records = facts.read_records(run / runs.METRICS)
    curves = facts.curves_of(records, settings.val_images)
    affinity, missing = facts.affinities_of(run, runs.output_folder(run, settings.run_dir), list(loaded.tasks))
    keys: dict[str, set[str]] = {name: set(by_key) for name, by_key in curves["metrics"].items()}
    for entry in measured:
        for by_task in entry["metrics"].values():
            for name, values in by_task.items():
                keys.setdefault(name, set()).update(values)
    results = runs.read_json(run / runs.RESULTS) if (run / runs.RESULTS).is_file() else None
    return {
        "format": FORMAT,
        "vtadapt": __version__,
        "run": str(run),
        "name": run.name,
        "data": settings.data,
        "tasks": facts.tasks_of(loaded.tasks, keys),
        "facts": facts.facts_of(loaded, results),
        "commands": facts.commands_of(
            runs.DEMO if run == runs.bundled_run() else str(run), settings, adapters=adapters
        ),
        "measured": measured,
        "curves": curves,
        "affinity": affinity,
        "settings": facts.settings_of(settings),
        "missing": _missing(loaded, adapters, bool(measured), bool(records), bool(affinity), missing),
    }


def _missing(
    loaded: Loaded, adapters: bool, measured: bool, records: bool, affinity: bool, broken: list[str]
) -> dict[str, list[str]]:
    """Per section what has no source in the folder, in one sentence each."""
    found: dict[str, list[str]] = {}
    if not measured:
        found["metrics"] = [f"No metrics: the run has no {runs.RESULTS}; vtadapt eval measures it."]
    if not records:
        found["curves"] = [f"No curves: the run has no {runs.METRICS}."]
    if affinity or broken:
        found["affinity"] = broken
    elif not adapters:
        found["affinity"] = [f"No affinity: a run of method {loaded.settings.method} has no adapters to compare."]
    elif len(loaded.tasks) < 2:
        found["affinity"] = ["No affinity: the run has one task."]
    else:
        found["affinity"] = ["No affinity was learned in training; vtadapt affinity --plot measures it."]
    return {section: texts for section, texts in found.items() if texts}


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
    if not isinstance(loaded.model, AdaptedModel):
        missing["attention"] = [f"No attention: a run of method {loaded.settings.method} has no adapted blocks."]
    elif not photographs:
        missing["attention"] = ["No attention: there is no image here to look at."]
    else:
        try:
            block = finest_block(list(loaded.model.shared_parameters()))
            shots, document["attention"] = attention_shots(loaded.path, block, photographs[:ATTENTION])
        except VtadaptError as error:
            missing["attention"] = [f"No attention: {' '.join(str(error).split())}."]
    return Pictures(
        {name: each.samples for name, each in found.items()},
        {name: each.extremes for name, each in found.items()},
        shots,
    )
