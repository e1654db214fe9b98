"""Unsupervised domain adaptation: any objective, and predictions on unlabelled images that look like the source's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.discriminator import Discriminator
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import VOID
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.train.methods.base import Batch, Logits, Objective
from vtadapt.workflows.train.methods.class_ratios import ClassRatios
from vtadapt.workflows.train.methods.wrapped import Wrapped
from vtadapt.workflows.train.second_data import TargetStream

CLASS_WEIGHTS = "class_weights"  # in the records of metrics.jsonl: task -> weight of each class
SOURCE, TARGET = 0.0, 1.0
"""What a discriminator says of each domain."""

BETAS = (0.9, 0.99)  # of the discriminators' Adam, as ADVENT has them
INNER, NETWORK, ADAM, SHOWN, RATIOS = "inner", "discriminators", "adam", "shown", "ratios"


class Seen(NamedTuple):
    """What a discriminator saw in a step, detached: maps of source and target, weights of the source's pixels."""

    source: Tensor
    target: Tensor
    weights: Tensor | None = None


class Recorded:
    """A network that keeps the last logits it gave, whichever way the wrapped objective calls it."""

    def __init__(self, model: Any) -> None:
        """Wrap ``model``, as Fabric gives it."""
        self.model = model
        self.logits: Logits = {}

    def __call__(self, image: Tensor, tasks: Sequence[str] | None = None) -> Logits:
        """Call the network."""
        self.logits = self.model(image, tasks)
        return self.logits

    def levels(self, image: Tensor, tasks: Sequence[str] | None = None) -> list[Logits]:
        """Call the network for its supervised levels; the last is its prediction."""
        found: list[Logits] = self.model.levels(image, tasks)
        self.logits = found[-1]
        return found


def domain_loss(logits: Tensor, domain: float, weights: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of a discriminator's patch logits against one domain, in float32.

    Args:
        logits: (B, 1, h, w).
        domain: :data:`SOURCE` or :data:`TARGET`.
        weights: of the pixels (B, 1, H, W), above 0; the mean is weighted by that of each patch, the mean of its own.
    """
    wanted = torch.full_like(logits, domain, dtype=torch.float32)
    if weights is None:
        return F.binary_cross_entropy_with_logits(logits.float(), wanted)
    # A patch of D sees many pixels, so it weighs as much as they do on average.
    patches = F.adaptive_avg_pool2d(weights.float(), (logits.shape[-2], logits.shape[-1]))
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, patches, reduction="sum") / patches.sum()


class Adversarial(Wrapped):
    """One discriminator D_t per task t on the task's output `[paper]`; the wrapped objective does not know of it.

    A step's loss is the wrapped objective's on the source plus lambda (``adversarial_weight``, 0.005) times the mean
    over tasks of BCE(D_t(f_t(x)), source) for target images x, with D frozen: not even the buffers of its spectral norm
    move. After the network's update each D_t takes one step of Adam on
    (BCE(D_t(f_t(source image)), source) + BCE(D_t(f_t(target image)), target)) / 2 with the outputs of that same step,
    detached. What D_t sees of a prediction is :meth:`vtadapt.tasks.Task.for_discriminator`.

    Two things are ours, and 0 and false turn them off (a third, ``match_camera``, is off by default and the loader's:
    :func:`.run.loaders.distance_factor`). lambda rises evenly from 0 over ``adversarial_warmup`` of the
    steps, since a D that still guesses has no direction to give (a ramp as in Ganin et al., JMLR 2016). And from then
    on, with ``class_ratios``, classes that the target seems to have more of weigh more, by :class:`ClassRatios`, both
    in the source's loss and among the source's patches that their D sees (importance weighting, Tachet des Combes et
    al., NeurIPS 2020): otherwise a D tells domains apart by the shares of classes, and what fools it best is to
    predict on the target the source's.

    Our reading [ours]: the source batch's range of inverse depth is that of its labels, which cannot be a wild
    prediction; "the encoder stays frozen" is what adapters do anyway, and the other methods train their encoder here as
    they do without a target, so that source-only and adapted differ in what is written above alone; D's learning rate
    is constant, 1e-3 by default: at ADVENT's 1e-4, made for 250 000 iterations, D still guesses after 100.
    """

    def __init__(self, inner: Objective) -> None:
        """Wrap an objective; initial values of D are drawn from the run's seed.

        Raises:
            ConfigError: the target has too few images.
            DataError: the target's pack is missing or broken.
        """
        settings = inner.settings
        super().__init__(inner)
        self.stream = TargetStream(settings, self.fabric)
        with torch.random.fork_rng(devices=[]):
            # A seed of its own: with the run's, D's first weights would repeat numbers that the network was drawn from.
            torch.manual_seed(settings.seed + 2)
            networks = {n: Discriminator(t.channels, settings.discriminator_width) for n, t in self.tasks.items()}
        # Channels last: a fifth faster in the wide maps of its first layers.
        self.discriminators = nn.ModuleDict(networks).to(self.fabric.device)
        self.discriminators.to(memory_format=torch.channels_last)
        # In eval mode the power iteration of spectral norm stands still: the generator's loss must not change D.
        self.discriminators.requires_grad_(False).eval()
        self.optimiser = torch.optim.Adam(self.discriminators.parameters(), settings.discriminator_lr, betas=BETAS)
        self.log = settings.discriminator_distance == "log"
        self.seen: dict[str, Seen] = {}
        """Task -> what its D saw in this step."""
        several = {n: t.channels for n, t in self.tasks.items() if t.behaviour.scores_classes and t.channels > 1}
        self.ratios = {name: ClassRatios(count) for name, count in several.items() if settings.class_ratios}
        """Task of classes -> what is known of their shares on the target."""
        self.rising = 0
        """Steps in which lambda rises."""
        self.last = -1
        """The last step, from 0."""
        self.shown = torch.full((len(self.tasks), 3), torch.nan)
        """Last losses of each task: of the generator, of D on the source, of D on the target."""

    def prepare(self, data: TrainData, loader: Any, path: Path, steps: int, quiet: bool) -> dict[str, Any]:
        """The wrapped objective's part; see how long lambda rises."""
        self.rising, self.last = round(self.settings.adversarial_warmup * steps), steps - 1
        return self.inner.prepare(data, loader, path, steps, quiet)

    def factor(self, step: int) -> float:
        """The weight of the adversarial loss at ``step`` (from 0)."""
        return self.settings.adversarial_weight * min(1.0, step / self.rising if self.rising else 1.0)

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """The wrapped objective's record, else every ``log_steps``, and at the end, the losses of the step before."""
        if record := self.inner.before_step(batch, step):
            return record
        told = step % self.settings.log_steps == 0 or step == self.last
        if step == 0 or not told or self.shown.isnan().all():
            return None
        rows = {
            name: dict(zip(("fooling", "source", "target"), (round(v, 5) for v in row), strict=True))
            for name, row in zip(self.tasks, self.shown.tolist(), strict=True)
            if row[0] == row[0]
        }
        self._weigh(step)  # the same as the step itself will, also after a resume
        record = {"step": step + 1, "split": "adversarial", "bce": rows}
        weights = {name: [round(w, 3) for w in found.tolist()] for name, found in self.class_weights.items()}
        return {**record, CLASS_WEIGHTS: weights} if weights else record

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """The wrapped objective's loss on the source, and lambda times the adversarial one on target images."""
        self._weigh(step)
        recorded = Recorded(model)
        total, shown = self.inner.loss(recorded, batch, tasks, step)
        logits = model(self.stream.images(step), list(tasks))
        fooling = []
        for name, task in tasks.items():
            labels = batch["targets"][name]
            limits = task.limits(labels, self.log)
            # Detached: D learns what source predictions look like, the network is not to move them.
            source = task.for_discriminator(recorded.logits[name].detach(), limits, self.log)
            target = task.for_discriminator(logits[name], limits, self.log)
            fooling.append(self.fooling(name, target))
            self.seen[name] = Seen(source, target.detach(), self._pixels(name, labels))
            self.shown[list(self.tasks).index(name), 0] = float(fooling[-1].detach())
            if name in self.ratios:
                self._observe(name, recorded.logits[name], labels, logits[name])
        # The mean over tasks, so that lambda means the same whatever their number.
        return total + self.factor(step) * torch.stack(fooling).mean(), shown

    def _weigh(self, step: int) -> None:
        """Put what is known of the classes' shares into the weights of their loss, once lambda has risen."""
        if step < self.rising:
            return
        for name, ratios in self.ratios.items():
            if (found := ratios.weights()) is not None:
                self.class_weights[name] = found.to(self.fabric.device)

    def _pixels(self, name: str, labels: Tensor) -> Tensor | None:
        """Weights of the pixels of a batch (B, 1, H, W) by their classes, 1 where there is none; None: all alike."""
        if name not in self.class_weights:
            return None
        weights = torch.cat([self.class_weights[name], torch.ones(1, device=labels.device)])
        return weights[labels.where(labels != VOID, len(weights) - 1)][:, None]

    def _observe(self, name: str, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Take in what was predicted of both domains, by all processes."""
        joint, predicted = ClassRatios.shares(source, labels, target)
        if self.fabric.world_size > 1:  # labelled pixels count alike, whichever process has them
            pixels = (labels != VOID).sum().to(joint)
            # One message in place of three; shares are weighted by the pixels they were counted over.
            together = torch.cat([(pixels * joint).flatten(), predicted, pixels[None]])
            together = cast(Tensor, self.fabric.all_reduce(together, reduce_op="sum"))
            joint = together[: joint.numel()].view_as(joint) / together[-1].clamp_min(1)
            predicted = together[joint.numel() : -1] / self.fabric.world_size
        self.ratios[name].observe(joint, predicted)

    def fooling(self, name: str, maps: Tensor) -> Tensor:
        """BCE of the frozen D of a task against "source" on what it sees of target predictions."""
        return domain_loss(self.judge(name, maps), SOURCE)

    def judge(self, name: str, maps: Tensor) -> Tensor:
        """Logits of the D of a task for what it sees, in the run's precision."""
        # Without the scaling of losses that float16 needs, and which is the generator's, float32 is the safe one.
        half = self.settings.precision == "16-mixed"
        with contextlib.nullcontext() if half else self.fabric.autocast():
            logits: Tensor = self.discriminators[name](maps.contiguous(memory_format=torch.channels_last))
        return logits

    def after_step(self, batch: Batch, step: int) -> None:
        """The wrapped objective's part, then one step of every D that saw something."""
        self.inner.after_step(batch, step)
        seen, self.seen = self.seen, {}
        networks = self.discriminators
        self.optimiser.zero_grad()  # to None: the D of a task without a label in the batch is left as it is
        networks.requires_grad_(True).train()
        for name, (source, target, weights) in seen.items():
            on_source = domain_loss(self.judge(name, source), SOURCE, weights)
            on_target = domain_loss(self.judge(name, target), TARGET)
            ((on_source + on_target) / 2).backward()  # type: ignore[no-untyped-call]
            self.shown[list(self.tasks).index(name), 1:] = torch.stack([on_source, on_target]).detach().cpu()
        self._reduce()
        self.optimiser.step()
        networks.requires_grad_(False).eval()

    def _reduce(self) -> None:
        """Average D's gradients over processes."""
        if self.fabric.world_size == 1:
            return
        for parameter in self.discriminators.parameters():
            # Every process has to take part in every reduction, also one whose batch lacked the label, or all would
            # wait.
            found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = cast(Tensor, self.fabric.all_reduce(found, reduce_op="mean"))

    def state(self) -> dict[str, Tensor]:
        """The wrapped objective's state, D, its Adam, the last losses and the classes' shares."""
        adam = self.optimiser.state_dict()["state"]
        return {
            **{f"{INNER}.{key}": value for key, value in self.inner.state().items()},
            **{f"{NETWORK}.{key}": value for key, value in self.discriminators.state_dict().items()},
            **{f"{ADAM}.{i}.{key}": torch.as_tensor(v) for i, found in adam.items() for key, v in found.items()},
            **{f"{RATIOS}.{task}.{k}": v for task, found in self.ratios.items() for k, v in found.state().items()},
            SHOWN: self.shown,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in (INNER, NETWORK, ADAM, SHOWN, RATIOS)}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        if parts[INNER]:
            self.inner.load_state(parts[INNER])
        checkpoint.load_into(
            self.discriminators.requires_grad_(True), parts[NETWORK], Path("the discriminators' state")
        )
        self.discriminators.requires_grad_(False)
        whole = self.optimiser.state_dict()
        whole["state"] = {}
        for key, value in parts[ADAM].items():
            index, _, name = key.partition(".")
            whole["state"].setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(whole)
        self.shown = state[SHOWN].clone()
        for task, ratios in self.ratios.items():
            ratios.load_state({k.rpartition(".")[2]: v for k, v in parts[RATIOS].items() if k.startswith(f"{task}.")})
