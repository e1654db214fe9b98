"""``vtadapt adapt``: labels of one data set, images of another; measured beside what labels there would have given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vtadapt.atomic import need_writable, write_json, write_text
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.discriminator import SMALLEST
from vtadapt.tasks import Task
from vtadapt.workflows.adapt.domains import Domains, find_domains, with_labels
from vtadapt.workflows.adapt.notes import about_adapted, about_domains
from vtadapt.workflows.adapt.picture import draw_adaptation
from vtadapt.workflows.adapt.tables import ADAPTED, ORACLE, SOURCE_ONLY, class_lists, markdown, summarise, with_subsets
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run, summary
from vtadapt.workflows.evaluate.trivial import Asked, trivial_metrics
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.label_space import label_space
from vtadapt.workflows.run.data.packs import with_packs
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone
from vtadapt.workflows.run.loaders import STEPS
from vtadapt.workflows.run.methods import METHODS, those
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.planned import plan_variants
from vtadapt.workflows.sweep.spread import headlines
from vtadapt.workflows.sweep.start import parse_seeds
from vtadapt.workflows.sweep.trials import (
    Trial,
    Variant,
    begin,
    check_given,
    failures,
    find_variants,
    make_trial,
    run_trials,
)
from vtadapt.workflows.terminal.progress import Progress

FORMAT = 1
ADAPT, TABLE = "adapt.json", "table.md"

RULE = (
    "Checkpoint: the last one of a schedule that is fixed before training, in all settings. No label chooses it, "
    "neither the target's nor the source's."
)
RULE_BEST = (
    "Checkpoint: the best of several by the validation labels of the data set that the setting is trained on, so the "
    "source's for source-only and adapted. The target's labels do not choose it."
)


@dataclass(frozen=True)
class AdaptOptions:
    """What is adapted, and how.

    Attributes:
        methods: "all" or some of those that can be adapted, separated by commas; METHOD:ENCODER for another encoder.
        seeds: their number (0, 1, ...), or several separated by commas.
        jobs: processes of one thread each; 0 for this process.
        own: method (or METHOD:ENCODER) -> settings of it alone.
        out: folder; None for RUN_DIR/adapt-SOURCE-TARGET.
        oracle: also train on the target's labels.
        images: of the picture.
        given: setting of all -> where it was given, for messages; None: the settings that differ from their defaults.
    """

    methods: str = "adapters"
    seeds: str = "1"
    jobs: int = 1
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    out: Path | None = None
    oracle: bool = True
    images: int = 2
    given: Mapping[str, str] | None = None


def adapt(settings: TrainSettings, options: AdaptOptions, *, quiet: bool = False) -> dict[str, Any]:
    """Train every method on the source alone, with the target's images, and on the target's labels; measure there.

    Finished runs are kept. All settings have the same steps, seeds and classes.

    Args:
        settings: of every run; ``data`` is the source and ``target`` the target.
        options: which methods and seeds.
        quiet: no progress.

    Returns:
        The content of ``adapt.json``; ``failed`` names the runs that failed.

    Raises:
        UsageError: an option that cannot be.
        ConfigError: the two sets do not fit one another, a setting that no run reads, a run that is there was made with
            other settings, or another process works in the folder.
        DataError: the data is not prepared.
    """
    seeds = parse_seeds(options.seeds)
    methods = _methods(options.methods)
    settings = with_packs(settings)
    domains = find_domains(settings)
    last = "evals" not in settings.model_fields_set
    _check(settings, options)
    base = _base(settings, domains, last)
    variants = find_variants(",".join(methods), base, options.own)
    possible, _ = _settings_of(variants, domains, oracle=False)
    check_given(options.given, settings, options.own, possible)
    plan_variants(possible)
    folder = options.out or settings.run_dir / f"adapt-{domains.source.name}-{domains.target.name}"
    need_writable(folder)
    open_fabric(settings.model_copy(update={"devices": 1, "num_nodes": 1}))
    domains = with_labels(domains, settings, quiet)
    grid, notes = _settings_of(variants, domains, options.oracle)
    with alone(folder, "adaptation"):
        trials = [make_trial(each, seed, folder) for seed in seeds for each in grid]
        for trial in trials:
            begin(trial)
        title = f"adapt {domains.source.name} to {domains.target.name}"
        run_trials(trials, options.jobs, title, quiet, lambda trial: _told(trial, domains.tasks))
        about_training = {"seeds": seeds, "steps": base.steps, "checkpoint": RULE if last else RULE_BEST}
        result: dict[str, Any] = {"format": FORMAT, "folder": str(folder), **about_training}
        result |= _found(settings, domains, trials, [v.label for v in variants], quiet)
        result["notes"] = [*about_domains(domains), *about_adapted(trials, domains), *notes]
        picture, target = folder / f"panel-{domains.target.name}.png", domains.target.name
        result["panels"] = draw_adaptation(settings, target, domains.agreed, trials, picture, options.images)
        write_json(folder / ADAPT, result, checked=True)
        write_text(folder / TABLE, markdown(result))
    return result


def _found(
    settings: TrainSettings, domains: Domains, trials: Sequence[Trial], labels: Sequence[str], quiet: bool
) -> dict[str, Any]:
    """What was measured, by method and setting, beside the trivial predictors."""
    found = measure(trials, domains, quiet)
    classes = class_lists(domains.agreed, (domains.source, domains.target))
    return {
        "source": domains.source.name,
        "target": domains.target.name,
        "split": "val",
        "classes": classes,
        "headlines": headlines(domains.tasks),
        "trivial": _trivial(settings, domains, classes),
        "methods": summarise(labels, trials, found, classes, domains.tasks),
        "failed": failures(trials),
    }


def _check(settings: TrainSettings, options: AdaptOptions) -> None:
    """Refuse what would make the settings of the table differ, or fail in the middle of it."""
    for name, own in options.own.items():
        if "evals" in own:
            raise UsageError(f"--set {name}:evals: it decides which checkpoint counts; wanted --set evals=N for all")
    if settings.epochs is not None:
        raise UsageError(f"epochs = {settings.epochs} would be other steps for each data set; wanted --steps N")
    if settings.aligns and settings.size is not None and min(settings.size) < SMALLEST:
        raise ConfigError(f"--size {settings.size[0]}x{settings.size[1]}: a discriminator wants at least {SMALLEST}")


def _methods(typed: str) -> list[str]:
    known = those(lambda m: m.adapts)
    listed = [part.strip() for part in typed.split(",") if part.strip()]
    listed = known if listed == ["all"] else listed
    for name in listed:
        if (method := name.split(":")[0]) not in known:
            raise UsageError(f"--method {name!r}; wanted all, or of {', '.join(known)}.{near_matches(method, known)}")
    if not listed or len(set(listed)) < len(listed):
        raise UsageError(f"--method {typed!r}: wanted each method once, or with another encoder as METHOD:ENCODER")
    return listed


def _base(settings: TrainSettings, domains: Domains, last: bool) -> TrainSettings:
    """What the three settings have in common: source-only."""
    names = (domains.source.name, domains.target.name)
    steps = settings.steps or STEPS
    update: dict[str, Any] = {
        "data": names[0],
        "target": None,
        "tasks": tuple(domains.tasks),
        "label_space": label_space(*names),
        "steps": steps,
    }
    return settings.model_copy(update={**update, **({"evals": 1} if last else {})})


def _settings_of(variants: Sequence[Variant], domains: Domains, oracle: bool) -> tuple[list[Variant], list[str]]:
    """Each method in its settings, and what must be known of them."""
    target = domains.target.name
    notes = []
    grid = []
    for variant in variants:
        # The strategy is the adapted runs' alone, so that the folders of the others serve any.
        adapted = {"target": target, "strategy": variant.settings.strategy}
        plain = {"strategy": variant.settings.default("strategy")}
        changes: dict[str, dict[str, Any]] = {SOURCE_ONLY: plain, ADAPTED: adapted}
        least = METHODS[variant.method].fewest_tasks
        if oracle and len(domains.taught) >= least:
            taught: dict[str, Any] = {**plain, "data": target, "tasks": domains.taught}
            if variant.settings.reference not in domains.taught:
                taught["reference"] = None
            weights = variant.settings.loss_weights
            taught["loss_weights"] = {t: w for t, w in weights.items() if t in domains.taught}
            changes[ORACLE] = taught
        elif oracle:
            notes.append(
                f"{variant.label}: no oracle, {target} has training labels of {len(domains.taught)} of the tasks and "
                f"it takes {least}."
            )
        for name, update in changes.items():
            changed = variant.settings.model_copy(update=update)
            grid.append(replace(variant, label=f"{variant.label}:{name}", settings=changed))
    return grid, notes


def measure(trials: Sequence[Trial], domains: Domains, quiet: bool) -> dict[str, dict[str, Any]]:
    """Metrics of every finished run on both validation splits, by the run's folder, then "source" or "target"."""
    done = [trial for trial in trials if trial.error is None and trial.done]
    found: dict[str, dict[str, Any]] = {}
    with Progress(len(done), 0, f"measure on {domains.target.name}", quiet) as bar:
        for number, trial in enumerate(done, 1):
            trained = files.read_json(trial.path / files.RESULTS)
            own = {
                side: trained["metrics"][recipe.name]
                for side, recipe in (("source", domains.source), ("target", domains.target))
                if recipe.name in trained["metrics"]
            }
            if "target" not in own and domains.measured:
                own["target"] = _on_target(trial, domains.target.name)
            found[os.fspath(trial.path)] = {**own, "results": trained}
            bar.update(number, {})
    return found


def _on_target(trial: Trial, target: str) -> dict[str, Any]:
    """Metrics of a run on the target's validation split, measured once."""
    file = trial.path / f"eval-val-{target}.json"
    if not file.is_file() or file.stat().st_mtime_ns < (trial.path / files.MODEL).stat().st_mtime_ns:
        evaluate_run(trial.path, EvalOptions(data=target, data_dir=trial.settings.data_dir, trivial=False))
    measured = files.read_json(file)
    try:
        metrics: dict[str, Any] = measured["metrics"][target]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no metrics of {target!r}; remove the file, and it is measured again") from error
    return metrics


def _trivial(settings: TrainSettings, domains: Domains, classes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What trivial predictors reach on both validation splits, each taught on its own training split."""
    asked = {
        recipe.name: Asked(
            {t: task for t, task in domains.tasks.items() if recipe is domains.source or t in domains.measured},
            domains.agreed.label_maps[recipe.name],
        )
        for recipe in (domains.source, domains.target)
    }
    found = trivial_metrics(settings, asked)
    for data, metrics in found["metrics"].items():
        found["metrics"][data] = with_subsets(metrics, classes)
        for task, values in found["metrics"][data].items():
            of = found["of"][data][task]
            of |= {key: of["miou/dataset"] for key in values if key not in of}
    return found


def _told(trial: Trial, tasks: Mapping[str, Task]) -> str:
    results = files.read_json(trial.path / files.RESULTS)
    return f"{summary(results['metrics'], tasks)}  ({results['train_seconds']:.0f} s)"
