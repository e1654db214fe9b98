"""Self-training: any objective on the source, and on the target labels that a mean teacher makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.tasks.losses import Loss
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.train.methods.base import Batch, Objective, over_processes
from vtadapt.workflows.train.methods.self_training.mixing import half_of_the_classes, strong
from vtadapt.workflows.train.methods.self_training.pseudo import Pseudo, Rules, hidden, pseudo_labels
from vtadapt.workflows.train.methods.self_training.rare_classes import RareClassSampler, pixels_of_classes
from vtadapt.workflows.train.methods.self_training.teacher import MeanTeacher
from vtadapt.workflows.train.methods.wrapped import Wrapped
from vtadapt.workflows.train.second_data import Stream, TargetStream

INNER, TEACHER, SHOWN = "inner", "teacher", "shown"
PSEUDO = "pseudo"  # in the records of metrics.jsonl: task -> weight and loss of the teacher's labels
MIXED, STRONG = 0, 1  # last part of the keys of random draws


class Lesson(NamedTuple):
    """What the student is taught in a step.

    Attributes:
        image: (B, 3, H, W).
        pasted: (B, H, W), where it is the source's; None: nowhere.
        labels: of the source's pixels, by task.
    """

    image: Tensor
    pasted: Tensor | None = None
    labels: Mapping[str, Tensor] = {}


class SelfTraining(Wrapped):
    """A student on strongly changed target images, a teacher on the images as they are; the network knows of neither.

    A step's loss is the wrapped objective's on the source + f sum_t w_t L_t. f is ``self_training_weight``, rising
    evenly from 0 over ``self_training_warmup`` of the steps, w_t the task's own weight, and L_t the task's own loss
    against :func:`.pseudo.pseudo_labels` of the :class:`.teacher.MeanTeacher`, times their weight q_t.

    Where there is a task of classes (and ``class_mixing``), half of the classes of a source picture are pasted onto
    each target image, whose labels there are the source's: L_t = (n_s L_s + q_t n_p L_p) / (n_s + n_p) over n_s pasted
    and n_p pseudo-labelled pixels (DACS, DAFormer). The source pictures are those with rare classes
    (:class:`.rare_classes.RareClassSampler`). Other tasks learn the target's pixels alone [ours]: a pasted car's
    distance is that of another scene.

    No label of the target is read: its pack is opened without a task.
    """

    def __init__(self, inner: Objective) -> None:
        """Wrap an objective; the teacher begins with its network's weights.

        Raises:
            ConfigError: the target has too few images, or several sources are to be mixed.
            DataError: the target's pack is missing or broken.
        """
        super().__init__(inner)
        settings = self.settings
        self.stream = TargetStream(settings, self.fabric)
        self.teacher = MeanTeacher(self.model, settings.teacher_momentum, self.fabric.device)
        self.rules = Rules(settings.pseudo_threshold, settings.pseudo_share, settings.pseudo_agreement)
        several = {n: t for n, t in self.tasks.items() if t.behaviour.scores_classes and t.channels > 1}
        self.mixed = several if settings.class_mixing else {}
        """Tasks of classes whose labels are pasted; the first says what."""
        if self.mixed and len(settings.data_names) > 1:
            raise ConfigError(
                f"self-training mixes images of one source, found {settings.data}; wanted --set class_mixing=false"
            )
        self.source: Stream | None = None
        self.rising = 0
        """Steps in which f rises."""
        self.last = -1
        """The last step, from 0."""
        self.shown = torch.zeros(len(self.tasks), 2)
        """Last weight and loss of each task."""

    def prepare(self, data: TrainData, loader: Any, path: Path, steps: int, quiet: bool) -> dict[str, Any]:
        """The wrapped objective's part; open the pictures that are mixed, see how long f rises."""
        self.rising, self.last = round(self.settings.self_training_warmup * steps), steps - 1
        if self.mixed and self.source is None:
            self.source = self._open_source(data)
        return self.inner.prepare(data, loader, path, steps, quiet)

    def _open_source(self, data: TrainData) -> Stream:
        """The source's pictures in the target's size, those with rare classes more often."""
        settings = self.settings
        maps = data.label_maps.get(settings.data, {})
        source = Stream(settings, settings.data, self.mixed, self.fabric, maps, size=self.stream.size)
        if settings.rare_classes:
            pixels = pixels_of_classes(source.dataset.reader, next(iter(self.mixed.values())), maps)
            source.draw_by(RareClassSampler(pixels, settings.rare_classes, source.sampler))
        return source

    def factor(self, step: int) -> float:
        """The weight of what the student learns at ``step`` (from 0)."""
        return self.settings.self_training_weight * min(1.0, step / self.rising if self.rising else 1.0)

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """The wrapped objective's record, and every ``log_steps`` the weights and losses of the step before."""
        record = self.inner.before_step(batch, step)
        told = step % self.settings.log_steps == 0 or step == self.last
        if step == 0 or not told or not self.shown.any():  # nothing was taught yet
            return record
        rows = {
            name: dict(zip(("weight", "loss"), (round(v, 5) for v in row), strict=True))
            for name, row in zip(self.tasks, self.shown.tolist(), strict=True)
        }
        return {**(record or {"step": step + 1, "split": "self-training"}), PSEUDO: rows}

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """The wrapped objective's loss on the source, and f times the student's on the target."""
        total, shown = self.inner.loss(model, batch, tasks, step)
        factor = self.factor(step)
        if not factor:
            return total, shown
        target = self.stream.batch(step)
        taught = self.teach(target["image"], tasks)
        lesson = self.lesson(target["image"], step)
        logits = model(lesson.image, list(tasks))
        found = {
            name: self.student_loss(task, logits[name], taught[name], lesson, target["name"], step)
            for name, task in tasks.items()
        }
        shares, _ = over_processes(found, self.fabric)
        factors = self.factors()
        for name, one in found.items():
            total = total + factor * self.weight(tasks[name]) * factors.get(name, 1.0) * shares[name] * one.value
            row = torch.stack([taught[name].weight.float(), one.value.detach().float()])
            self.shown[list(self.tasks).index(name)] = row.cpu()
        return total, shown

    def teach(self, image: Tensor, tasks: Mapping[str, Task]) -> dict[str, Pseudo]:
        """The teacher's labels of target images (B, 3, H, W)."""
        mirrors = self.settings.flip  # else left and right mean something
        with self.fabric.autocast():
            here = self.teacher.predict(image, list(tasks))
            there = self.teacher.predict(image.flip(-1), list(tasks)) if mirrors else {}
        return {
            name: pseudo_labels(task, here[name].detach(), there.get(name), self.rules) for name, task in tasks.items()
        }

    def lesson(self, image: Tensor, step: int) -> Lesson:
        """What the student sees of target images (B, 3, H, W) at ``step``."""
        key = (self.settings.seed, self.fabric.global_rank, step)
        jitter = self.settings.strong_jitter
        if self.source is None:
            return Lesson(strong(image, jitter, (*key, STRONG)))
        source = self.source.batch(step)
        labels = source["targets"]
        pasted = half_of_the_classes(labels[next(iter(self.mixed))], (*key, MIXED))
        mixed = torch.where(pasted[:, None], source["image"], image)
        return Lesson(strong(mixed, jitter, (*key, STRONG)), pasted, labels)

    def student_loss(
        self, task: Task, logits: Tensor, taught: Pseudo, lesson: Lesson, names: list[str], step: int
    ) -> Loss:
        """The loss of one task, see the class; the pixels it counts."""

        def of(target: Tensor) -> Loss:
            return self.task_loss(task, logits, {"targets": {task.name: target}, "name": names}, step)

        if lesson.pasted is None:
            pseudo = of(taught.target)
            return Loss(taught.weight * pseudo.value, pseudo.valid)
        pseudo = of(hidden(task, taught.target, lesson.pasted))
        if task.name not in self.mixed:
            return Loss(taught.weight * pseudo.value, pseudo.valid)
        own = of(hidden(task, lesson.labels[task.name], ~lesson.pasted))
        count = own.valid + pseudo.valid
        value = (own.valid * own.value + taught.weight * pseudo.valid * pseudo.value) / max(count, 1)
        return Loss(value, count)

    def after_step(self, batch: Batch, step: int) -> None:
        """The wrapped objective's part, then the teacher follows."""
        self.inner.after_step(batch, step)
        self.teacher.update(step)

    def state(self) -> dict[str, Tensor]:
        """The wrapped objective's state, the teacher and what was told last."""
        return {
            **{f"{INNER}.{key}": value for key, value in self.inner.state().items()},
            **{f"{TEACHER}.{key}": value for key, value in self.teacher.weights.items()},
            SHOWN: self.shown,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        parts: dict[str, dict[str, Tensor]] = {INNER: {}, TEACHER: {}, SHOWN: {}}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        if parts[INNER]:
            self.inner.load_state(parts[INNER])
        self.teacher.load(parts[TEACHER])
        self.shown = state[SHOWN].clone()
