"""The two data sets of an adaptation: what they share, and which labels the target has to measure with."""

from __future__ import annotations

from dataclasses import dataclass

from vtadapt.data.pack.manifest import open_manifest
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.shared_classes import Agreement, agree
from vtadapt.errors import UsageError
from vtadapt.tasks import Task
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run.build import build_tasks
from vtadapt.workflows.run.loaders import find_recipe, open_reader
from vtadapt.workflows.run.settings import TrainSettings


@dataclass(frozen=True)
class Domains:
    """Both data sets, once their tasks mean the same.

    Attributes:
        source: with labels.
        target: whose labels only measure.
        agreed: what they share.
        tasks: those trained, with the shared classes.
        measured: those that the target's validation split has labels of.
        taught: those that its training split has labels of: the oracle's.
    """

    source: Recipe
    target: Recipe
    agreed: Agreement
    tasks: dict[str, Task]
    measured: tuple[str, ...]
    taught: tuple[str, ...]


def open_domains(settings: TrainSettings, quiet: bool) -> Domains:
    """Find both data sets, render synthetic ones, and see what they share.

    Raises:
        UsageError: unknown data set or task, or twice the same set.
        ConfigError: the tasks of the two do not fit one another.
        DataError: one is not prepared.
    """
    source, target = (find_recipe(str(name), settings.data_dir) for name in (settings.data, settings.target))
    if source.name == target.name:
        raise UsageError(f"source and target are both {source.name!r}; wanted two data sets, as SOURCE TARGET")
    tasks = tuple(build_tasks([source], settings.tasks))
    for recipe in (source, target):
        if not recipe.source.synthetic:
            open_manifest(settings.data_dir, recipe.name)
    agreed = agree(source, target, tasks)
    for recipe in (source, target):
        ensure_synthetic(recipe, settings.data_dir, quiet=quiet)
    labelled = {
        split: tuple(
            t for t in tasks if t in target.tasks and open_reader(settings, target.name, split).present(t).any()
        )
        for split in ("train", "val")
    }
    agreed_tasks = build_tasks([agreed.recipes[source.name]], tasks)
    return Domains(source, target, agreed, agreed_tasks, labelled["val"], labelled["train"])
