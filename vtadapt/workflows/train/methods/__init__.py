"""How each method makes the loss of a step: ``METHODS`` maps its name to its class, all others use the plain one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from vtadapt.tasks import Task
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.adversarial import Adversarial
from vtadapt.workflows.train.methods.base import Method
from vtadapt.workflows.train.methods.consistency import Consistency
from vtadapt.workflows.train.methods.rehearsal import Rehearsal
from vtadapt.workflows.train.methods.stl import Stl
from vtadapt.workflows.train.methods.tawt import Tawt

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

METHODS: Mapping[str, type[Method]] = {"stl": Stl, "consistency": Consistency, "tawt": Tawt}


def build_method(
    settings: TrainSettings,
    model: nn.Module,
    tasks: Mapping[str, Task],
    fabric: Fabric,
    kept: tuple[Mapping[str, Task], Mapping[str, Sequence[int]]] | None = None,
) -> Method:
    """The training method of a run, wrapped where it is adapted to a target or rehearses.

    Args:
        settings: of the run.
        model: its network.
        tasks: those whose labels are used.
        fabric: of the run.
        kept: where it rehearses: the tasks, and the class of each class that the rehearsed data has.
    """
    method = METHODS.get(settings.method, Method)(settings, model, tasks, fabric)
    if settings.rehearse is not None:
        return Rehearsal(method, *(kept or ({}, {})))
    return method if settings.target is None else Adversarial(method)
