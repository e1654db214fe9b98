"""What must be known of an adaptation to read its table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from vtadapt.workflows import runs
from vtadapt.workflows.adapt_tables import ADAPTED
from vtadapt.workflows.compare_grid import Cell
from vtadapt.workflows.domains import Domains
from vtadapt.workflows.loaders import distance_factor
from vtadapt.workflows.methods.adversarial import CLASS_WEIGHTS
from vtadapt.workflows.report_records import read_records
from vtadapt.workflows.settings import TrainSettings


def about_domains(settings: TrainSettings, domains: Domains) -> list[str]:
    """Tasks that the target cannot measure or means otherwise, distances of another camera, and the budget.

    Args:
        settings: of the source-only runs.
        domains: the data sets.
    """
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
    notes += _about_cameras(settings.model_copy(update={"target": target}), domains)
    return [*notes, f"Steps and seeds are the same in all settings; {source} and {target} give as many images."]


def _about_cameras(settings: TrainSettings, domains: Domains) -> list[str]:
    distances = [name for name, task in domains.tasks.items() if task.distance]
    source, target = domains.source, domains.target
    if not distances or not settings.match_camera:
        return []
    factor = distance_factor(settings, source)
    if factor != 1:
        return [
            f"{name}: adapted learns the distances of {source.name} times {factor:.3f}, the ratio of the focal lengths "
            f"(match_camera), so on {source.name} itself it is off by that."
            for name in distances
        ]
    unknown = [recipe.name for recipe in (source, target) if recipe.intrinsics is None]
    measured = [name for name in distances if name in domains.measured]
    if not unknown:
        return []
    return [f"{name}: no focal length is known of {', '.join(unknown)}, so distances stay." for name in measured]


def about_weights(cells: Sequence[Cell], domains: Domains) -> list[str]:
    """Classes that adapted runs weighed more at their end, the mean over a method's seeds."""
    notes = []
    for label in dict.fromkeys(cell.label for cell in cells if cell.label.endswith(f":{ADAPTED}")):
        found = [_last_weights(cell) for cell in cells if cell.label == label and cell.error is None and cell.done]
        for name, task in domains.tasks.items():
            each = [weights[name] for weights in found if name in weights]
            if each:
                means = [mean(values) for values in zip(*each, strict=True)]
                named = zip(task.classes, means, strict=True)
                raised = ", ".join(f"{c} {w:.2f}" for c, w in named if w > 1) or "none"
                method = label.removesuffix(f":{ADAPTED}")
                notes.append(
                    f"{name}: classes that {method} weighed more, since {domains.target.name} seems to have more of "
                    f"them than {domains.source.name} (class_ratios): {raised}."
                )
    return notes


def _last_weights(cell: Cell) -> dict[str, list[float]]:
    """Task -> weight of each class at the end of a run, by its records."""
    records, _ = read_records(cell.path / runs.METRICS)
    return next((r[CLASS_WEIGHTS] for r in reversed(records) if CLASS_WEIGHTS in r), {})
