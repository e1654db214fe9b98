"""Unsupervised domain adaptation: any method, and predictions on unlabelled images that look like the source's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.discriminator import Discriminator
from vtadapt.tasks import Task
from vtadapt.workflows import runs
from vtadapt.workflows.methods.base import Batch, Logits, Method
from vtadapt.workflows.methods.wrapped import Wrapped
from vtadapt.workflows.target_stream import TargetStream

ADAPTABLE = ("adapters", "mult", "xtam", "consistency")
"""Methods that can be adapted to a target."""

SOURCE, TARGET = 0.0, 1.0
"""What a discriminator says of each domain."""

BETAS = (0.9, 0.99)  # of the discriminators' Adam, as ADVENT has them
INNER, NETWORK, ADAM, SHOWN = "inner", "discriminators", "adam", "shown"


class Recorded:
    """A network that keeps the last logits it gave, whichever way the wrapped method calls it."""

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


def domain_loss(logits: Tensor, domain: float) -> Tensor:
    """Mean binary cross-entropy of a discriminator's patch logits against one domain, in float32."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, domain, dtype=torch.float32))


class Adversarial(Wrapped):
    """One discriminator D_t per task t on the task's output `[paper]`; the wrapped method does not know of it.

    A step's loss is the wrapped method's on the source plus lambda (``adversarial_weight``, 0.005) times the mean over
    tasks of BCE(D_t(f_t(x)), source) for target images x, with D frozen: not even the buffers of its spectral norm
    move. After the network's update each D_t takes one step of Adam on
    (BCE(D_t(f_t(source image)), source) + BCE(D_t(f_t(target image)), target)) / 2 with the outputs of that same step,
    detached. What D_t sees of a prediction is :meth:`vtadapt.tasks.Task.for_discriminator`.

    Our reading [ours]: the source batch's range of inverse depth is that of its labels, which cannot be a wild
    prediction; "the encoder stays frozen" is what adapters do anyway, and the other methods train their encoder here as
    they do without a target, so that source-only and adapted differ in the adversarial loss alone; D's learning rate
    is constant, 1e-3 by default: at ADVENT's 1e-4, made for 250 000 iterations, D still guesses after 100.
    """

    def __init__(self, inner: Method) -> None:
        """Wrap a method; initial values of D are drawn from the run's seed.

        Raises:
            ConfigError: it is none of :data:`ADAPTABLE`, or the target has too few images.
            DataError: the target's pack is missing or broken.
        """
        settings = inner.settings
        if settings.method not in ADAPTABLE:
            raise ConfigError(
                f"method {settings.method!r} cannot be adapted to a target; wanted {', '.join(ADAPTABLE)}"
            )
        super().__init__(inner)
        self.stream = TargetStream(settings, self.fabric)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed + 2)
            networks = {n: Discriminator(t.channels, settings.discriminator_width) for n, t in self.tasks.items()}
        # Channels last: a fifth faster in the wide maps of its first layers.
        self.discriminators = nn.ModuleDict(networks).to(self.fabric.device)
        self.discriminators.to(memory_format=torch.channels_last)
        self.discriminators.requires_grad_(False).eval()
        self.optimiser = torch.optim.Adam(self.discriminators.parameters(), settings.discriminator_lr, betas=BETAS)
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}
        """Task -> what D saw of source and target in this step, detached."""
        self.shown = torch.full((len(self.tasks), 3), torch.nan)
        """Last losses of each task: of the generator, of D on the source, of D on the target."""

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """The wrapped method's record, else every ``log_steps`` the losses of the step before."""
        if record := self.inner.before_step(batch, step):
            return record
        if step == 0 or step % self.settings.log_steps or self.shown.isnan().all():
            return None
        rows = {
            name: dict(zip(("fooling", "source", "target"), (round(v, 5) for v in row), strict=True))
            for name, row in zip(self.tasks, self.shown.tolist(), strict=True)
            if row[0] == row[0]
        }
        return {"step": step + 1, "split": "adversarial", "bce": rows}

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """The wrapped method's loss on the source, and lambda times the adversarial one on the step's target images."""
        recorded = Recorded(model)
        total, shown = self.inner.loss(recorded, batch, tasks, step)
        logits = model(self.stream.images(step), list(tasks))
        fooling = []
        for name, task in tasks.items():
            limits = task.limits(batch["targets"][name])
            source = task.for_discriminator(recorded.logits[name].detach(), limits)
            target = task.for_discriminator(logits[name], limits)
            fooling.append(self.fooling(name, target))
            self.seen[name] = (source, target.detach())
            self.shown[list(self.tasks).index(name), 0] = float(fooling[-1].detach())
        return total + self.settings.adversarial_weight * torch.stack(fooling).mean(), shown

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
        """The wrapped method's part, then one step of every D that saw something."""
        self.inner.after_step(batch, step)
        seen, self.seen = self.seen, {}
        networks = self.discriminators
        self.optimiser.zero_grad()  # to None: the D of a task without a label in the batch is left as it is
        networks.requires_grad_(True).train()
        for name, (source, target) in seen.items():
            on_source = domain_loss(self.judge(name, source), SOURCE)
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
            found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = cast(Tensor, self.fabric.all_reduce(found, reduce_op="mean"))

    def state(self) -> dict[str, Tensor]:
        """The wrapped method's state, D, its Adam and the last losses."""
        adam = self.optimiser.state_dict()["state"]
        return {
            **{f"{INNER}.{key}": value for key, value in self.inner.state().items()},
            **{f"{NETWORK}.{key}": value for key, value in self.discriminators.state_dict().items()},
            **{f"{ADAM}.{i}.{key}": torch.as_tensor(v) for i, found in adam.items() for key, v in found.items()},
            SHOWN: self.shown,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        parts: dict[str, dict[str, Tensor]] = {INNER: {}, NETWORK: {}, ADAM: {}, SHOWN: {}}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        if parts[INNER]:
            self.inner.load_state(parts[INNER])
        runs.load_into(self.discriminators.requires_grad_(True), parts[NETWORK], Path("the discriminators' state"))
        self.discriminators.requires_grad_(False)
        whole = self.optimiser.state_dict()
        whole["state"] = {}
        for key, value in parts[ADAM].items():
            index, _, name = key.partition(".")
            whole["state"].setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(whole)
        self.shown = state[SHOWN].clone()
