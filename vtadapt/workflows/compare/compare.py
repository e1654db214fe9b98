"""``vtadapt compare``: any set of methods on the same data with the same budget and seeds, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtadapt.atomic import need_writable, write_json, write_text
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.tasks import Task
from vtadapt.workflows.compare.budget import fairness, parse_budget, with_budget
from vtadapt.workflows.compare.exported import write_compared
from vtadapt.workflows.compare.kept import Kept, about_kept, find_kept, own_settings
from vtadapt.workflows.compare.picture import draw_comparison
from vtadapt.workflows.compare.tables import markdown, summarise
from vtadapt.workflows.evaluate.evaluate import summary
from vtadapt.workflows.evaluate.trivial import Asked, trivial_metrics
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.packs import with_packs
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.planned import plan_variants
from vtadapt.workflows.sweep.spread import headlines
from vtadapt.workflows.sweep.start import parse_seeds
from vtadapt.workflows.sweep.trials import Trial, begin, check_given, failures, find_variants, make_trial, run_trials

FORMAT = 1
COMPARE, TABLE = "compare.json", "table.md"


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how.

    Attributes:
        methods: "all", or METHOD[:ENCODER] separated by commas; see :func:`vtadapt.workflows.run.methods.all_compared`.
        seeds: their number (0, 1, ...), or several separated by commas.
        budget: "steps=N" or "seconds=N"; None for the settings' steps, else about 1000 a data set.
        jobs: processes of one thread each; 0 for this process.
        own: method (or METHOD:ENCODER) -> settings of it alone.
        out: folder; None for RUN_DIR/compare-NAME.
        images: of the picture, per data set.
        given: setting of all -> where it was given, for messages; None: the settings that differ from their defaults.
        tables: also write the table as "csv", "latex"; the paths are under "files".
    """

    methods: str = "all"
    seeds: str = "3"
    budget: str | None = None
    jobs: int = 1
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    out: Path | None = None
    images: int = 2
    given: Mapping[str, str] | None = None
    tables: tuple[str, ...] = ()


def compare(settings: TrainSettings, options: CompareOptions, *, quiet: bool = False) -> dict[str, Any]:
    """Train every method with every seed (finished trials are kept), evaluate, tabulate and draw.

    Finished trials of other methods and seeds in the folder stay in the table where their settings agree.

    Args:
        settings: of every trial, but for method, seed, steps, and what ``options.own`` says.
        options: what is compared.
        quiet: no progress.

    Returns:
        The content of ``compare.json``; ``failed`` names the trials that failed.

    Raises:
        UsageError: an option that cannot be.
        ConfigError: a setting that no method reads, a trial that is there was made with other settings, or another
            process works in the folder.
        DataError: the data is not prepared.
        VtadaptError: the cost of a method could not be measured.
    """
    settings = with_packs(settings)
    seeds, budget = parse_seeds(options.seeds), parse_budget(options.budget, settings)
    variants = find_variants(options.methods, settings, options.own)
    check_given(options.given, settings, options.own, variants)
    variants, data = plan_variants(variants)
    settings = data.named(settings).model_copy(update={"start": variants[0].settings.start})
    tasks = build_tasks(data.trained, settings.tasks)
    folder = options.out or settings.run_dir / f"compare-{settings.data}"
    need_writable(folder)
    open_fabric(settings.model_copy(update={"devices": 1, "num_nodes": 1}))
    ensure_synthetic(data, settings.data_dir, quiet=quiet)
    with alone(folder, "comparison"):
        variants, measured = with_budget(variants, budget, len(tasks), folder, options.jobs, quiet)
        trials = [make_trial(variant, seed, folder) for seed in seeds for variant in variants]
        for trial in trials:
            begin(trial)
        run_trials(trials, options.jobs, f"compare {settings.data}", quiet, lambda trial: _told(trial, tasks))
        own = {**own_settings(folder / COMPARE), **{name: dict(values) for name, values in options.own.items()}}
        kept = find_kept(folder, settings, own, budget, variants, trials)
        variants, trials = [*variants, *kept.variants], [*trials, *kept.trials]
        trivial = trivial_metrics(settings, {recipe.name: Asked(tasks) for recipe in data.trained})
        about = {"own": own, "budget": {"kind": budget.kind, "value": budget.value, "measured": measured}}
        about |= {"fairness": fairness(budget, options.jobs), **_about_trials(trials, kept, folder)}
        found = {"headlines": headlines(tasks), "methods": summarise(variants, trials, tasks, trivial["metrics"])}
        result = {"format": FORMAT, "data": settings.data, "split": "val", **about, "trivial": trivial, **found}
        result["panels"] = draw_comparison(settings, data.trained, tasks, trials, folder, options.images)
        if options.tables:
            result["files"] = write_compared(folder / "table", options.tables, result)
        write_json(folder / COMPARE, result, checked=True)
        write_text(folder / TABLE, markdown(result))
    return result


def _about_trials(trials: Sequence[Trial], kept: Kept, folder: Path) -> dict[str, Any]:
    """What was trained, what was there before, and what failed."""
    return {
        "folder": str(folder),
        "seeds": sorted({trial.seed for trial in trials}),
        "kept": [trial.name for trial in kept.trials],
        "left_out": kept.left_out,
        "about_kept": about_kept(kept, folder),
        "failed": failures(trials),
    }


def _told(trial: Trial, tasks: Mapping[str, Task]) -> str:
    results = files.read_json(trial.path / files.RESULTS)
    return f"{summary(results['metrics'], tasks)}  ({results['train_seconds']:.0f} s)"
