"""A task that is added to a network which stays as it is: what of it is new, kept apart, and put in again.

The network is built with the added tasks behind those it was trained with. What is of an added task alone is its
modules (head, and decoder where each task has one) and, where tasks are conditioned, its row of the embeddings and its
column of A. The row of A from an added task to those before it is zero: it changes nothing of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.multitask import MultitaskModel

ROW, COLUMN = "row", "column"


def train_only(model: MultitaskModel, task: str) -> None:
    """Freeze all but what is of one task alone.

    The embeddings are one parameter: the other rows have to be held besides. The task's row begins as the mean of the
    others, since what reads it was trained on vectors such as these, and is not trained on [ours].
    """
    model.requires_grad_(False)
    for module in model.own_modules(task).values():
        module.requires_grad_(True)
    if isinstance(model, AdaptedModel):
        weight, index = model.embedding.weight, model.tasks.index(task)
        weight.data[index] = weight.data[:index].mean(0)
        weight.requires_grad_(True)


def own_state(model: MultitaskModel, task: str) -> dict[str, Tensor]:
    """What is kept of an added task: its modules' weights as "head...." or "decoder....", and row (E,) and column (T,).

    The column is of the tasks before it, in their order, and its own entry last.
    """
    found = {
        f"{part}.{key}": value.detach().clone()
        for part, module in model.own_modules(task).items()
        for key, value in module.state_dict().items()
    }
    if isinstance(model, AdaptedModel):
        index = model.tasks.index(task)
        found[ROW] = model.embedding.weight.detach()[index].clone()
        found[COLUMN] = model.affinity[: index + 1, index].clone()
    return found


def load_own_state(model: MultitaskModel, task: str, tensors: Mapping[str, Tensor], before: Sequence[str]) -> None:
    """Put in what :func:`own_state` gave.

    Args:
        model: whose tasks may be fewer than when the task was added.
        task: its name.
        tensors: to put in.
        before: the tasks that were there when it was added, in their order.

    Raises:
        ConfigError: the tensors are of another network, or the task rests on one that is not there any more.
    """
    wanted = {name: tuple(value.shape) for name, value in own_state(model, task).items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if COLUMN in wanted:
        wanted[COLUMN] = (len(before) + 1,)
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            has, wants = found.get(name, "nothing"), wanted.get(name, "nothing")
            raise ConfigError(f"{name} of the added task {task!r} has {has}, and the network wants {wants}")
    for part, module in model.own_modules(task).items():
        mine = {key.removeprefix(f"{part}."): value for key, value in tensors.items() if key.startswith(f"{part}.")}
        module.load_state_dict(mine)
    if isinstance(model, AdaptedModel):
        index = model.tasks.index(task)
        model.embedding.weight.data[index] = tensors[ROW]
        model.affinity[:, index] = 0.0
        for source, weight in zip([*before, task], tensors[COLUMN], strict=True):
            if source in model.tasks:
                model.affinity[model.tasks.index(source), index] = weight
            elif float(weight):
                raise ConfigError(f"the added task {task!r} rests on {source!r}, which is not there any more")


def grown(model: MultitaskModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Saved weights of a network with fewer tasks as ``model`` has them; what is of its last tasks is the model's own.

    Args:
        model: whose first tasks are those of the saved network.
        tensors: its saved state.
    """
    own = model.state_dict(keep_vars=True)
    added = {
        id(value)
        for task in model.alone
        for module in model.own_modules(task).values()
        for value in module.state_dict(keep_vars=True).values()
    }
    out = {name: value.detach() for name, value in own.items() if id(value) in added}
    first = len(model.tasks) - len(model.alone)
    for name, value in tensors.items():
        out[name] = value
        # By its very shape: what is of another network must be told, and not be filled up.
        tasks = {"embedding.weight": (first, *own[name].shape[1:]), "affinity": (first, first)} if name in own else {}
        if model.alone and tuple(value.shape) == tasks.get(name):
            out[name] = own[name].detach().clone()
            out[name][tuple(slice(0, length) for length in value.shape)] = value
    return out


def set_apart(model: MultitaskModel, tasks: Sequence[str]) -> None:
    """Say which of a network's tasks, the last of them, were added: each is computed by itself from then on."""
    assert tuple(tasks) == model.tasks[len(model.tasks) - len(tasks) :]
    model.alone = tuple(tasks)


def rests_on(tensors: Mapping[str, Tensor], before: Sequence[str]) -> list[str]:
    """The tasks whose embeddings an added task reads, by its column of A; none where it has no column.

    Args:
        tensors: of the added task.
        before: see :func:`load_own_state`.
    """
    column = tensors[COLUMN].tolist() if COLUMN in tensors else []
    return [name for name, weight in zip(before, column, strict=False) if weight]
