"""Weights of single tasks that training leaves alone: for the whole run, or in a step without a label of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from vtadapt.errors import ConfigError
from vtadapt.models.multitask import MultitaskModel, Owned
from vtadapt.workflows.run.methods import listed, those


class HeldWeights:
    """What belongs to the held tasks alone stays as it is, bit for bit, whatever the optimiser.

    A row of the task embeddings gets a gradient through the other tasks' z, and weight decay moves what has none. So
    their gradients are cleared (they do not count when gradients are clipped, and leave no momentum), and after each
    update the values are put back. They stay parameters that are trained by name: a run saves and loads them.
    """

    def __init__(self, model: MultitaskModel, tasks: Sequence[str]) -> None:
        """Remember the values that the model has now.

        Raises:
            ConfigError: the model has no such task, or cannot tell what is a task's own.
        """
        if tasks and not model.has_own_parts:
            raise ConfigError(
                f"cannot hold {', '.join(tasks)}: this method has no part that all tasks share beside parts of their "
                f"own; wanted method {listed(those(lambda m: m.shares))}"
            )
        if unknown := [name for name in tasks if name not in model.tasks]:
            raise ConfigError(f"cannot hold {unknown[0]!r}; the tasks are {', '.join(model.tasks)}")
        self.model = model
        owned: list[Owned] = [part for name in tasks for part in model.owned(name)]
        self.kept = [(part, _view(part.parameter.data, part.row).clone()) for part in owned]

    def clear_gradients(self, unlabelled: Iterable[str] = ()) -> None:
        """Call it after the backward pass.

        Args:
            unlabelled: tasks without a label in the batches of all processes. These compute them all the same, and
                what is theirs alone has a gradient of zeros: the optimiser would count a step and decay the weights,
                which it does not in a single process.
        """
        for task in unlabelled if self.model.has_own_parts else ():
            for part in self.model.owned(task):
                if part.row is None:
                    part.parameter.grad = None
        for part, _ in self.kept:
            if part.parameter.grad is not None:
                _view(part.parameter.grad, part.row).zero_()

    def restore(self) -> None:
        """Call it after the optimiser's update."""
        for part, value in self.kept:
            _view(part.parameter.data, part.row).copy_(value)


def _view(tensor: Tensor, row: int | None) -> Tensor:
    return tensor if row is None else tensor[row]
