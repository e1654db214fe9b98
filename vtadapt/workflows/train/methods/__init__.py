"""How the loss of a step is made: ``OBJECTIVES`` maps what a method's record names to its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vtadapt.errors import ConfigError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.adversarial import Adversarial
from vtadapt.workflows.train.methods.base import Objective
from vtadapt.workflows.train.methods.consistency import Consistency
from vtadapt.workflows.train.methods.rehearsal import Rehearsal
from vtadapt.workflows.train.methods.self_training.self_training import SelfTraining
from vtadapt.workflows.train.methods.stl import Stl
from vtadapt.workflows.train.methods.tawt import Tawt

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

OBJECTIVES: Mapping[str, type[Objective]] = {
    "sum": Objective,
    "stl": Stl,
    "consistency": Consistency,
    "tawt": Tawt,
}


def build_objective(
    settings: TrainSettings,
    model: MultitaskModel,
    tasks: Mapping[str, Task],
    fabric: Fabric,
    kept: tuple[Mapping[str, Task], Mapping[str, Sequence[int]]] | None = None,
) -> Objective:
    """The objective of a run, wrapped where it is adapted to a target or rehearses.

    Args:
        settings: of the run.
        model: its network.
        tasks: those whose labels are used.
        fabric: of the run.
        kept: where it rehearses: the tasks, and the class of each class that the rehearsed data has.

    Raises:
        ConfigError: a target that the method cannot be adapted to.
    """
    objective = OBJECTIVES[METHODS[settings.method].objective](settings, model, tasks, fabric)
    if settings.rehearse is not None:
        return Rehearsal(objective, *(kept or ({}, {})))
    if settings.target is None:
        return objective
    if not METHODS[settings.method].adapts:
        known = listed(those(lambda m: m.adapts))
        raise ConfigError(f"method {settings.method!r} cannot be adapted to a target; wanted {known}")
    if settings.aligns:
        objective = Adversarial(objective)
    return SelfTraining(objective) if settings.self_trains else objective
