"""The loop of a training run: steps, evaluation after epochs, checkpoints, exact resume."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from vtadapt.atomic import remove_leftovers, write_json
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.evaluate import Evaluation, by_set, evaluate, score, summary
from vtadapt.workflows.evaluate.pictures import draw_panel
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.affinity_file import write_history
from vtadapt.workflows.run.data.same_packs import noted_packs
from vtadapt.workflows.run.loaders import TrainData, build_eval
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.interrupt import Signals
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import warn
from vtadapt.workflows.train.cached.features import batches_of
from vtadapt.workflows.train.column import updates_of
from vtadapt.workflows.train.cost import Clock, Stopwatch, peak_memory
from vtadapt.workflows.train.held_weights import HeldWeights
from vtadapt.workflows.train.learning_rates import Rates, make_optimiser
from vtadapt.workflows.train.lessons import Lessons
from vtadapt.workflows.train.log.drawn import draw_state
from vtadapt.workflows.train.log.metrics_log import MetricsLog
from vtadapt.workflows.train.methods import build_objective
from vtadapt.workflows.train.state import BEST, Position, RunState

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import


class Trainer:
    """The loop: steps, evaluation after epochs, checkpoints."""

    def __init__(
        self,
        settings: TrainSettings,
        lessons: Lessons,
        model: MultitaskModel,
        config: dict[str, Any],
        data: TrainData,
        fabric: Fabric,
        packs: Mapping[str, str] | None = None,
    ) -> None:
        """Build what trains a network.

        Args:
            settings: of the run.
            lessons: what it learns.
            model: its network, with the weights that it starts from.
            config: what its ``config.json`` will hold.
            data: what it reads.
            fabric: where it computes.
            packs: digests of what it reads, by data set.
        """
        self.settings, self.data, self.fabric, self.core = settings, data, fabric, model
        self.lessons, self.packs = lessons, dict(packs or {})
        # A held task is evaluated at the end but gives no loss: its labels on the new data must not be seen.
        self.tasks, self.trained = dict(lessons.tasks), dict(lessons.trained)
        self.config = {**config, "size": list(data.size)}
        self.troa = updates_of(settings, self.core, lessons, fabric)
        self.objective = build_objective(settings, self.core, self.trained, fabric, lessons.kept)
        if self.troa.every:
            self.objective.factors = self.troa.factors
        assert settings.epochs is not None
        self.epochs = settings.epochs
        # Whichever ends first; the learning rate's schedule has to know it before the first step.
        self.total = min(self.epochs * data.sampler.batches, settings.steps or sys.maxsize)
        self.rates = Rates(self.core, settings, self.total)
        optimiser = make_optimiser(self.rates.groups, settings.precision, settings.optimiser)
        # self.core stays the plain module: checkpoints, TROA and evaluation read its names, which compile prefixes.
        network = cast(nn.Module, torch.compile(self.core)) if settings.compile else self.core
        self.model, self.optimiser = fabric.setup(network, optimiser)
        self.held = HeldWeights(self.core, lessons.held(settings, self.core))
        if self.core.supervised_levels > 1:
            self.model.mark_forward_method("levels")
        self.loader: Any = batches_of(data, self.core, fabric)
        self.clock, self.stopwatch, self.prepared = Clock(), Stopwatch(), dict[str, Any]()
        self.state = RunState(model, self.optimiser, self.troa, self.objective, fabric, self.config["backbone"])
        self.signals = Signals(self._together if fabric.world_size > 1 else None)
        self.step, self.best, self.waited = 0, -math.inf, 0  # waited: evaluations since the best
        self.pending = False
        """Whether the steps of an epoch are taken, but not evaluated."""

    def run(self, path: Path, resume: bool, quiet: bool) -> dict[str, Any]:
        """Train to the end and write the run's results into ``path``."""
        self.path, self.clock = path, Clock()
        if resume:
            self._restore()
        settings, batches = self.settings, self.data.sampler.batches
        self.log = MetricsLog(path, self.step, self.fabric.is_global_zero, settings)
        # Rounded up: a run is evaluated at most as often as was asked for.
        every = math.ceil(self.epochs / settings.evals)
        quiet = quiet or not self.fabric.is_global_zero
        self.prepared = self.objective.prepare(self.data, self.loader, path, self.total, quiet)
        if not self.step:  # a session that was cut while preparing left no checkpoint of the loop
            self.clock.before = max(0.0, self.prepared.get("seconds", 0.0) - self.clock.session)
        with Progress(self.total, self.step, f"train {settings.data}", quiet) as bar:
            patience = settings.patience or sys.maxsize
            for epoch in range((self.step - self.pending) // batches, self.epochs):
                if not self.pending and (self.step >= self.total or self.waited >= patience):  # within an epoch
                    break
                try:
                    if not self.pending:
                        self._epoch(epoch, bar)
                        self.pending = True
                    if (epoch + 1) % every == 0 or epoch + 1 == self.epochs or self.step == self.total:
                        self._validate(epoch, bar)
                    self.pending = False
                    self._checkpoint()
                except KeyboardInterrupt:
                    self._keep_steps()
                    raise
        return self._finish(self.clock.seconds)

    def measure(self, path: Path) -> dict[str, Any]:
        """Train without evaluation, to see what it costs; nothing but scratch files is written into ``path``.

        Returns:
            "seconds_per_step"; "prepare_seconds_per_step", those of the method's preparation over the run's steps;
            "steps", those measured.
        """
        self.path, self.log = path, MetricsLog(path, 0, active=False)
        seconds = self.objective.prepare(self.data, self.loader, path, self.total, True).get("seconds", 0.0)
        with Progress(self.total, 0, "measure", quiet=True) as bar:
            for epoch in range(self.epochs):
                self._epoch(epoch, bar)
        mean = self.stopwatch.mean
        return {"seconds_per_step": mean, "prepare_seconds_per_step": seconds / self.total, "steps": self.total}

    def _epoch(self, epoch: int, bar: Progress) -> None:
        first = self.step - epoch * self.data.sampler.batches
        self.data.train.set_epoch(epoch)
        self.data.sampler.set(epoch, first)
        self.model.train(self.lessons.added is None)  # beside an added task all is as it is when it is used
        self.stopwatch.start()
        for batch in self.signals.watched(self.loader):
            with self.signals.held():  # a step and its record, whole or not at all
                losses = self._advance(batch)
                if self.step % self.settings.log_steps == 0:
                    rate = self.rates.at(self.step)
                    told = {"step": self.step, "epoch": epoch, "split": "train", "loss": losses, "lr": rate}
                    self.log.write(told)
            bar.update(self.step, losses)
            # The last step's checkpoint is written after the evaluation, so that resuming cannot skip that.
            if self.step == self.total:
                break
            if self.step % self.settings.checkpoint_steps == 0 and self.step % self.data.sampler.batches:
                self._checkpoint()
            self.stopwatch.start()

    def _advance(self, batch: Mapping[str, Any]) -> dict[str, float]:
        """One step, with what comes before it now and then."""
        if self.troa.due(self.step):
            self.log.write(self.troa.update(batch, self.step))
        if record := self.objective.before_step(batch, self.step):
            self.log.write(record)
        losses = self._step(batch)
        self.step += 1
        self.stopwatch.lap()
        return losses

    def _step(self, batch: Mapping[str, Any]) -> dict[str, float]:
        self.rates.set(self.optimiser, self.step)
        tasks = self._labelled(batch)
        total, shown = self.objective.loss(self.model, batch, tasks, self.step)
        self.optimiser.zero_grad()
        self.fabric.backward(total)
        # Before clipping, or what is thrown away would shrink the others.
        self.held.clear_gradients(tasks.keys() - shown.keys() if self.fabric.world_size > 1 and shown else ())
        self.objective.clip(self.model, self.optimiser)
        self.optimiser.step()
        # AdamW's decay and momentum move a weight even without a gradient, so it is put back exactly.
        self.held.restore()
        self.objective.after_step(batch, self.step)
        return shown

    def _labelled(self, batch: Mapping[str, Any]) -> dict[str, Task]:
        """The tasks that have a label in the batch; only they are computed.

        Several processes compute all of them, since their gradients are summed and a label may be there in one only.
        """
        if self.fabric.world_size > 1:
            return self.trained
        found = {name: task for name, task in self.trained.items() if task.valid(batch["targets"][name]).any()}
        return found or self.trained

    def _evaluate(self, limit: int | None, tasks: Mapping[str, Task], scaled: bool = False) -> dict[str, Evaluation]:
        """Metrics of each validation set; ``scaled``: with distances multiplied as they are in training."""
        results = {}
        for name, reader in self.data.val.items():
            maps, factors = self.data.label_maps.get(name), self.data.distance_factors if scaled else {}
            loader = build_eval(reader, tasks, self.settings.batch_size, limit, maps, factors.get(name, 1.0))
            results[name] = evaluate(self.core, loader, tasks, self.fabric)
        return results

    def _validate(self, epoch: int, bar: Progress) -> None:
        self.state.need_finite(self.path, self.step)
        # Labels of held tasks are not looked at, not even to choose the best weights.
        results = by_set(self._evaluate(self.settings.val_images, self.trained, scaled=True))["metrics"]
        value = score(results, self.tasks)
        if self.fabric.is_global_zero:
            self.log.write({"step": self.step, "epoch": epoch, "split": "val", "score": value, "metrics": results})
            draw_state(self.log, self.step, self.core, self.trained, self.data, self.settings.log_pictures)
            bar.message(f"epoch {epoch + 1}/{self.epochs}  {summary(results, self.tasks)}")
            # The first evaluation counts whatever it says, NaN included: a run must end with weights to keep.
            if value > self.best or self.best == -math.inf:
                checkpoint.write_tensors(self.path / BEST, self.core.saved_state(), {"epoch": epoch, "step": self.step})
        self.waited = 0 if value > self.best else self.waited + 1
        self.best = max(self.best, value)

    def _keep_steps(self) -> None:
        """Keep the steps that were taken since the last checkpoint, when the run is interrupted.

        Nobody is waited for: other processes have ended after the same step, or are about to.
        """
        at_the_end = self.step == self.total or (self.step > 0 and self.step % self.data.sampler.batches == 0)
        if self.step > self.state.saved.step:
            self.pending = self.pending or at_the_end
            self.state.write(self.path, self._position())

    def _together(self, number: int) -> int:
        """The largest of a number that all processes call this with."""
        found = torch.tensor(number, device=self.fabric.device)
        return int(cast(torch.Tensor, self.fabric.all_reduce(found, reduce_op="max")))

    def _position(self) -> Position:
        # What an evaluation said that is made again does not count yet.
        best, waited = (self.best, self.waited) if not self.pending else self.state.saved[1:3]
        return Position(self.step, best, waited, self.clock.seconds, self.pending)

    def _checkpoint(self) -> None:
        self.state.write(self.path, self._position())
        self.fabric.barrier()

    def _restore(self) -> None:
        """Go back to the last checkpoint, or to the beginning where there is none yet; forget what came after it."""
        self.step, self.best, self.waited, self.clock.before, pending = self.state.read(self.path)
        # A run that is lengthened since goes on within the epoch that was its last.
        self.pending = pending and (self.step % self.data.sampler.batches == 0 or self.step == self.total)
        if self.fabric.is_global_zero:
            files.cut_lines(self.path / files.METRICS, self.step, evaluated=not self.pending)
            for folder in (self.path, *self.path.glob("checkpoints/*")):
                remove_leftovers(folder)
        self.fabric.barrier()

    def _finish(self, seconds: float) -> dict[str, Any]:
        """Evaluate the best weights on the whole validation split; write model, results and a panel."""
        self.fabric.barrier()
        # From the file: the network in memory has gone on since its best evaluation.
        tensors, about = checkpoint.read_tensors(self.path / BEST)
        checkpoint.load_into(self.core, tensors, self.path / BEST)
        # In metres as stored, unlike the evaluations in between, which see distances as training does.
        results = {**self._cost(seconds), **by_set(self._evaluate(None, self.tasks))}
        if self.fabric.is_global_zero:
            checkpoint.write_tensors(self.path / files.MODEL, tensors)
            packs = noted_packs(self.path)  # none in runs of before
            write_json(self.path / files.CONFIG, self.config | ({"packs": packs} if packs else {}), checked=True)
            write_json(self.path / files.RESULTS, results, checked=True)
            write_history(self.path, self.config, int(about["step"]), self.troa.conditioning)
            if complaint := self.troa.complaint(self.total):
                warn(complaint)
            for name, reader in self.data.val.items():
                maps = self.data.label_maps.get(name)
                draw_panel(self.core, reader, self.tasks, self.path / f"panel-{name}.png", label_maps=maps)
        self.log.close()
        return results

    def _cost(self, seconds: float) -> dict[str, Any]:
        """What the results tell of the run itself."""
        factors = dict(self.data.distance_factors)
        return {
            "run": str(self.path),
            "data": self.settings.data,
            "split": "val",
            "seed": self.settings.seed,
            "steps": self.step,
            "train_seconds": round(seconds, 1),
            "seconds_per_step": self.stopwatch.mean,
            "peak_memory": peak_memory(self.fabric.device),
            **({"prepared": self.prepared} if self.prepared else {}),
            **({"distance_factors": factors} if factors else {}),
            "trained_parameters": sum(p.numel() for p in self.core.trained_parameters()),
            "total_parameters": sum(p.numel() for p in self.core.parameters()),
        }
