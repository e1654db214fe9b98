"""The two data sets of an adaptation: what they share, and which labels the target has to measure with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vtadapt.data.recipe.common_tasks import Agreement, agree, build_tasks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import UsageError
from vtadapt.tasks import Task
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run.data.data_sets import find_recipe, need_prepared
from vtadapt.workflows.run.loaders import open_reader
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
    measured: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()


def find_domains(settings: TrainSettings) -> Domains:
    """Find both data sets and see what they share; nothing is rendered or opened, so no labels are known of yet.

    Raises:
        UsageError: unknown data set or task, or twice the same set.
        ConfigError: the tasks of the two do not fit one another.
        DataError: one is not prepared.
    """
    source, target = (find_recipe(str(name), settings.data_dir) for name in (settings.data, settings.target))
    if source.name == target.name:
        raise UsageError(f"source and target are both {source.name!r}; wanted two data sets, as SOURCE TARGET")
    tasks = tuple(build_tasks([source], settings.tasks))
    need_prepared((source, target), settings.data_dir)
    agreed = agree(source, target, tasks)
    return Domains(source, target, agreed, build_tasks([agreed.recipes[source.name]], tasks))


def with_labels(domains: Domains, settings: TrainSettings, quiet: bool) -> Domains:
    """Render synthetic sets that are not there, and see what labels the target has.

    Raises:
        DataError: a pack is broken.
    """
    source, target = domains.source, domains.target
    ensure_synthetic((source, target), settings.data_dir, quiet=quiet)
    there = [name for name in domains.tasks if name in target.tasks]
    taught, measured = (
        tuple(name for name in there if open_reader(settings, target.name, split).present(name).any())
        for split in ("train", "val")
    )
    return replace(domains, taught=taught, measured=measured)
