"""What a training run keeps to go on exactly: written whole, read back onto the network that is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.sizing.finite import need_finite_weights
from vtadapt.workflows.terminal.interrupt import uninterrupted
from vtadapt.workflows.train.methods.base import Objective
from vtadapt.workflows.train.troa import TroaUpdates

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

LAST = Path("checkpoints") / "last" / files.STATE
BEST = Path("checkpoints") / "best" / files.MODEL


class Position(NamedTuple):
    """Where a run is.

    Attributes:
        step: that were taken.
        best: score of the best evaluation so far.
        waited: evaluations since that one.
        seconds: of all sessions so far.
        pending: an epoch has ended with that step that was not evaluated yet.
    """

    step: int = 0
    best: float = -math.inf
    waited: int = 0
    seconds: float = 0.0
    pending: bool = False


class RunState:
    """The parts of a run that change from step to step, all of which a checkpoint holds."""

    def __init__(
        self,
        core: MultitaskModel,
        optimiser: Any,
        troa: TroaUpdates,
        objective: Objective,
        fabric: Fabric,
        backbone: dict[str, Any],
    ) -> None:
        """Keep them together.

        Args:
            core: the network itself, not what Fabric or the compiler made of it.
            optimiser: as Fabric gives it.
            troa: updates of the affinities.
            objective: of the run.
            fabric: where it computes.
            backbone: what the checkpoint tells of it.
        """
        self.core, self.optimiser, self.troa, self.objective = core, optimiser, troa, objective
        self.fabric, self.backbone = fabric, backbone
        self.saved = Position()
        """Where the checkpoint is."""

    def need_finite(self, run: Path, step: int) -> None:
        """Neither the last weights of a run nor its best may be ones that have diverged.

        Raises:
            NotFiniteError: those after ``step`` have.
        """
        there = " and ".join(str(place) for place in (LAST, BEST) if (run / place).is_file())
        need_finite_weights(self.core.saved_state(), step, there)

    def write(self, run: Path, position: Position) -> None:
        """Write the checkpoint, by the first process; signals wait for it.

        Raises:
            NotFiniteError: the weights have diverged.
            DataError: the disk refuses.
        """
        self.need_finite(run, position.step)
        if self.fabric.is_global_zero:
            about: dict[str, Any] = {"step": position.step, "best": None, "seconds": round(position.seconds, 3)}
            about |= {
                "waited": position.waited,
                "backbone": self.backbone,
                **({"pending": True} if position.pending else {}),
            }
            if position.best > -math.inf:
                about["best"] = position.best
            optimiser, troa = self.optimiser.optimizer.state_dict(), self.troa.state.state()
            with uninterrupted():
                checkpoint.save_state(
                    run / LAST, self.core.saved_state(), optimiser, troa, about, self.objective.state()
                )
        self.saved = position

    def read(self, run: Path) -> Position:
        """Go back to the checkpoint, where there is one.

        Raises:
            ConfigError: it is damaged, or of another run.
        """
        if not (path := run / LAST).is_file():
            return Position()
        model, state, troa, about, method = checkpoint.load_state(path)
        checkpoint.load_into(self.core, model, path)
        checkpoint.load_optimiser(self.optimiser.optimizer, state, path)
        with checkpoint.fitting(path):
            if troa:
                self.troa.state.load_state(troa)
            if method:
                self.objective.load_state(method)
            best = -math.inf if about["best"] is None else float(about["best"])
            seconds = float(about.get("seconds", 0.0))  # checkpoints of old did not count
            waited = int(about.get("waited", 0))
            self.saved = Position(int(about["step"]), best, waited, seconds, bool(about.get("pending")))
        return self.saved
