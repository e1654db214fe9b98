"""What must be known of an adaptation to read its table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from vtadapt.digits import percent
from vtadapt.workflows.adapt.domains import Domains
from vtadapt.workflows.adapt.tables import ADAPTED
from vtadapt.workflows.run import files
from vtadapt.workflows.run.loaders import distance_factor, focal_length
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.trials import Trial
from vtadapt.workflows.train.methods.adversarial import CLASS_WEIGHTS
from vtadapt.workflows.train.methods.class_ratios import LEAST_STEPS
from vtadapt.workflows.train.methods.self_training.self_training import PSEUDO
from vtadapt.workflows.train.records import read_records


def about_domains(domains: Domains) -> list[str]:
    """Tasks that the target cannot measure or means otherwise, and the budget."""
    source, target = domains.source.name, domains.target.name
    notes = [
        f"{name}: {target} has no label of it to measure with; it is adapted all the same."
        for name in domains.tasks
        if name not in domains.measured
    ]
    for name in domains.measured:
        sides = (domains.source, domains.target)
        derived = [recipe.name for recipe in sides if recipe.tasks[name].derived]
        if len(derived) == 1:
            notes.append(
                f"{name}: computed from other labels in {derived[0]} alone, so it may mean another thing there."
            )
    return [*notes, f"Steps and seeds are the same in all settings; {source} and {target} give as many images."]


def about_adapted(trials: Sequence[Trial], domains: Domains) -> list[str]:
    """What each method's adapted runs did besides the paper's loss: distances of another camera, weights of classes."""
    notes = []
    for label in dict.fromkeys(trial.label for trial in trials if trial.label.endswith(f":{ADAPTED}")):
        own = [trial for trial in trials if trial.label == label]
        method = label.removesuffix(f":{ADAPTED}")
        notes += _about_cameras(method, own[0].settings, domains)
        if own[0].settings.aligns and own[0].settings.class_ratios:
            notes += _about_weights(method, [c for c in own if c.error is None and c.done], domains)
        if own[0].settings.self_trains:
            notes += _about_teacher(method, [c for c in own if c.error is None and c.done], domains)
    return notes


def _about_cameras(method: str, settings: TrainSettings, domains: Domains) -> list[str]:
    distances = [name for name, task in domains.tasks.items() if task.distance]
    if not distances or not settings.match_camera:
        return []
    source, target = domains.source, domains.target
    factor = distance_factor(settings, source, target)
    if factor != 1:
        return [
            f"{name}: {method} adapted learns the distances of {source.name} times {factor:.3f}, the ratio of the "
            f"focal lengths (match_camera), so on {source.name} itself it is off by that."
            for name in distances
        ]
    unknown = [recipe.name for recipe in (source, target) if focal_length(settings, recipe) is None]
    measured = [name for name in distances if name in domains.measured]
    return [
        f"{name}: no focal length is known of {', '.join(unknown)}, so distances stay." for name in measured if unknown
    ]


def _about_weights(method: str, trials: Sequence[Trial], domains: Domains) -> list[str]:
    """Classes that weighed more at the end, the mean over seeds."""
    found = [_last_weights(trial) for trial in trials]
    notes = []
    for name, task in domains.tasks.items():
        if not found or len(task.classes) < 2:
            continue
        each = [weights[name] for weights in found if name in weights]
        means = [mean(values) for values in zip(*each, strict=True)]
        raised = ", ".join(f"{c} {w:.2f}" for c, w in zip(task.classes, means, strict=bool(means)) if w > 1) or "none"
        if not each:
            raised = f"none, since the steps were too few to tell (wanted {LEAST_STEPS} and the end of the warm-up)"
        notes.append(
            f"{name}: classes that {method} weighed more, since {domains.target.name} seems to have more of them than "
            f"{domains.source.name} (class_ratios): {raised}."
        )
    return notes


def _about_teacher(method: str, trials: Sequence[Trial], domains: Domains) -> list[str]:
    """What share of the target's pixels the teacher was sure of, the mean over seeds."""
    found = [_last(trial, PSEUDO) for trial in trials]
    notes, target = [], domains.target.name
    for name in domains.tasks:
        if shares := [rows[name]["weight"] for rows in found if name in rows]:
            notes.append(
                f"{name}: {method}'s teacher was sure of {percent(mean(shares))} of the pixels of {target} at the end; "
                "by that share its labels weigh (strategy)."
            )
    return notes


def _last_weights(trial: Trial) -> dict[str, list[float]]:
    """Task -> weight of each class at the end of a run, by its records."""
    return _last(trial, CLASS_WEIGHTS)


def _last(trial: Trial, key: str) -> dict[str, Any]:
    """The last that the records of a run say under a key."""
    records, _ = read_records(trial.path / files.METRICS)
    return next((r[key] for r in reversed(records) if key in r), {})
