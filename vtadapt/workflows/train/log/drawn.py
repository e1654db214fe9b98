"""What a run shows of its state at each evaluation: predictions over ground truth, and the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.pictures import panel_of
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.train.log.metrics_log import MetricsLog


def draw_state(
    log: MetricsLog, step: int, network: nn.Module, tasks: Mapping[str, Task], data: TrainData, images: int
) -> None:
    """Show it where somebody may look on.

    Args:
        log: of the run.
        step: of the run.
        network: as it is now; its state and that of random numbers stay as they are.
        tasks: that are trained: others' labels may not be looked at.
        data: of the run.
        images: of each validation set; 0: nothing is shown.
    """

    def panels() -> Iterator[tuple[str, np.ndarray]]:
        for name, reader in data.val.items():
            maps = data.label_maps.get(name)
            yield f"{name}/predictions", panel_of(network, reader, tasks, images=images, label_maps=maps)

    if images:
        trained = {name: one.detach() for name, one in network.named_parameters() if one.requires_grad}
        with torch.random.fork_rng(devices=[]):  # a run that is looked at is the same run
            log.draw(step, trained, lambda: dict(panels()))
