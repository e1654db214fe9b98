"""Training the cross-task networks of consistency on pairs of labels, before the run they serve."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from vtadapt.data.training.dataset import MixedDataset
from vtadapt.errors import ConfigError
from vtadapt.models.peers.cross_task import CrossTaskNetworks
from vtadapt.tasks import Task
from vtadapt.tasks.losses import Loss
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.interrupt import uninterrupted
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.train.methods.base import over_processes
from vtadapt.workflows.train.methods.maps import label_map

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

STATE = Path("checkpoints") / "cross_task" / files.STATE
LR = 2e-3
Pair = tuple[str, str]


def label_pairs(data: TrainData, tasks: Mapping[str, Task]) -> list[Pair]:
    """Ordered pairs of tasks that some training image has both labels of."""
    sets = data.train.datasets if isinstance(data.train, MixedDataset) else [data.train]
    readers = [one.reader for one in sets]

    def together(a: str, b: str) -> bool:
        return any(bool((r.present(a) & r.present(b)).any()) for r in readers)

    return [(a, b) for a, b in permutations(tasks, 2) if together(a, b)]


class CrossTraining:
    """All networks at once, each with its own loss, on the images of the run's own loader.

    Adam, learning rate 2e-3 falling to 0 as a cosine of the step. What is saved goes on exactly where it was.
    """

    def __init__(
        self, settings: TrainSettings, tasks: Mapping[str, Task], fabric: Fabric, pairs: list[Pair], steps: int
    ) -> None:
        """Create networks with initial values from the seed.

        Args:
            settings: of the run.
            tasks: of the run.
            fabric: of the run.
            pairs: (t, i), see :func:`label_pairs`.
            steps: to train for.
        """
        self.settings, self.tasks, self.fabric, self.steps = settings, tasks, fabric, steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed + 1)
            channels = {name: task.channels for name, task in tasks.items()}
            self.networks = CrossTaskNetworks(channels, pairs, settings.cross_task_width).to(fabric.device)
        self.optimiser = torch.optim.Adam(self.networks.parameters(), LR)
        self.step, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}

    def run(self, data: TrainData, loader: Any, path: Path, quiet: bool) -> None:
        """Train what is left of the steps, keep the result in the run's folder ``path`` and freeze the networks."""
        self._restore(path / STATE)
        batches = data.sampler.batches
        started, before = time.perf_counter(), self.seconds
        title = f"train {len(self.networks.pairs)} cross-task networks"
        with Progress(self.steps, self.step, title, quiet or not self.fabric.is_global_zero) as bar, self._kept(path):
            while self.step < self.steps:
                epoch = self.step // batches
                data.train.set_epoch(epoch)
                data.sampler.set(epoch, self.step - epoch * batches)
                for batch in loader:
                    with uninterrupted():
                        self._step(batch)
                    self.seconds = before + time.perf_counter() - started
                    bar.update(self.step, {})
                    if self.step == self.steps:
                        break
                    if self.step % self.settings.checkpoint_steps == 0:
                        self._save(path / STATE)
        if self.seconds > before:
            self._save(path / STATE)
        self.networks.requires_grad_(False).eval()

    @contextlib.contextmanager
    def _kept(self, path: Path) -> Iterator[None]:
        """Keep the steps that were taken where the block is interrupted; several processes may be at different ones."""
        try:
            yield
        except KeyboardInterrupt:
            if self.step and self.fabric.world_size == 1:
                self._save(path / STATE)
            raise

    def _step(self, batch: Mapping[str, Any]) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        losses = self._pair_losses(batch)
        shares, shown = over_processes(losses, self.fabric)
        self.losses |= shown
        terms = [shares[pair] * loss.value for pair, loss in losses.items() if loss.value.requires_grad]
        total = sum(terms[1:], terms[0]) if terms else None
        self.optimiser.zero_grad()  # to None: a network without a pair in the batch is left as it is
        if total is not None:
            total.backward()
        if self.fabric.world_size > 1:
            for parameter in self.networks.parameters():
                found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = cast(Tensor, self.fabric.all_reduce(found, reduce_op="mean"))
        self.optimiser.step()
        self.step += 1

    def _pair_losses(self, batch: Mapping[str, Any]) -> dict[str, Loss]:
        """Task i's own loss of h(y_t) on the images that have a label of both, by "t -> i"; else one of none."""
        targets = batch["targets"]
        maps = {name: label_map(task, targets[name]) for name, task in self.tasks.items()}
        has = {name: mask.flatten(1).any(1) for name, (_, mask) in maps.items()}
        losses = {}
        for source, target in self.networks.pairs:
            both, pair = has[source] & has[target], f"{source} -> {target}"
            losses[pair] = Loss(torch.zeros(()), 0)
            if both.any():
                logits = self.networks[source, target](maps[source][0][both])
                losses[pair] = self.tasks[target].loss_fn(logits, targets[target][both])
        return losses

    def _save(self, path: Path) -> None:
        if self.fabric.is_global_zero:
            about = {"step": self.step, "seconds": self.seconds, "losses": self.losses}
            with uninterrupted():
                checkpoint.save_state(path, self.networks.state_dict(), self.optimiser.state_dict(), {}, about)
        self.fabric.barrier()

    def _restore(self, path: Path) -> None:
        if not path.is_file():
            return
        saved = checkpoint.load_state(path)
        checkpoint.load_into(self.networks, saved.model, path)
        checkpoint.load_optimiser(self.optimiser, saved.optimiser, path)
        with checkpoint.fitting(path):
            self.step, self.seconds = int(saved.about["step"]), float(saved.about["seconds"])
            self.losses = dict(saved.about["losses"])
        if self.step > self.steps:
            raise ConfigError(f"{path} was trained for {self.step} steps, wanted {self.steps}; train again")
