"""The methods, one record each: all that commands, settings and training must know of a method stands in ``METHODS``.

To add one, write its network (a :class:`vtadapt.models.multitask.MultitaskModel` in ``vtadapt/models``) and its record
here. Settings of its own are a group in ``vtadapt/workflows/run/settings/fields.py``, named in ``own``; a loss that is
not the weighted sum of the tasks' is a class in ``vtadapt/workflows/train/methods``. Nothing is imported before a
network is built, as ``--help`` and the settings read this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vtadapt.models.multitask import MultitaskModel

LR, ADAPTERS_LR = 2e-3, 8e-3
"""Peak learning rates: of networks trained end to end, and of adapters on a frozen backbone (see docs/compare.md)."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """What there is to know of a method before anything is built.

    Attributes:
        what: one line for people.
        network: gives the class of its network; imports it, which takes seconds.
        encoder: the backbone unless another is asked for.
        needs: what its backbone must be: "any", or "transformer": a Swin, a SwinV2 or a plain ViT.
        decoders: those it can be given, its own first; none where there is nothing to choose.
        lr: peak learning rate unless another is asked for; with trained blocks (``train_blocks``) it is :data:`LR`.
        objective: how the loss of a step is made, a key of :data:`vtadapt.workflows.train.methods.OBJECTIVES`.
        own: names of the settings that it reads and that not every method does, besides those that follow from the
            flags below, see :mod:`vtadapt.workflows.run.settings.reading`.
        trains_backbone: whether the backbone is trained whole; a run then keeps all of it.
        affinity: whether a matrix A mixes what tasks are conditioned on: TROA, ``vtadapt affinity``.
        attention: whether ``vtadapt visualize-attention`` can look at its blocks.
        shares: whether all tasks train some parts, and have others of their own that can be told and held.
        adapts: whether ``vtadapt adapt`` may bring it to a target without labels.
        transfers: whether ``vtadapt zero-shot`` may go on with a run of it.
        adds: whether a task may be added to a finished run of it, of which all else stays as it is.
        fewest_tasks: that it can be trained on.
    """

    what: str
    network: Callable[[], type[MultitaskModel]]
    encoder: str = "swin_lite"
    needs: Literal["any", "transformer"] = "any"
    decoders: tuple[str, ...] = ("light", "swin", "aspp")
    lr: float = LR
    objective: str = "sum"
    own: tuple[str, ...] = ()
    trains_backbone: bool = True
    affinity: bool = False
    attention: bool = False
    shares: bool = False
    adapts: bool = False
    transfers: bool = False
    adds: bool = False
    fewest_tasks: int = 1


def _adapted() -> type[MultitaskModel]:
    from vtadapt.models.adapted import AdaptedModel

    return AdaptedModel


def _probe() -> type[MultitaskModel]:
    from vtadapt.models.frozen.probe import LinearProbe

    return LinearProbe


def _dpt() -> type[MultitaskModel]:
    from vtadapt.models.frozen.dpt import DptModel

    return DptModel


def _lora() -> type[MultitaskModel]:
    from vtadapt.models.frozen.lora import LoraModel

    return LoraModel


def _single_task() -> type[MultitaskModel]:
    from vtadapt.models.peers.stl import SingleTask

    return SingleTask


def _mtl_cnn() -> type[MultitaskModel]:
    from vtadapt.models.peers.stl import MtlCnn

    return MtlCnn


def _xtam() -> type[MultitaskModel]:
    from vtadapt.models.peers.xtam import Xtam

    return Xtam


def _mult() -> type[MultitaskModel]:
    from vtadapt.models.peers.mult import MulT

    return MulT


DEFAULT, BASELINE = "adapters", "stl"
"""The method unless another is asked for, and the one that Delta_m compares with."""

_ONE_CNN = Method(
    what="one CNN for all tasks, a DeepLab decoder per task",
    network=_mtl_cnn,
    encoder="cnn_lite",
    decoders=("aspp", "light", "swin"),
    shares=True,
)
"""The network of mtl-cnn and of the methods that only change its losses."""

METHODS: dict[str, Method] = {
    "adapters": Method(
        what="small trained adapters on a frozen vision transformer, one decoder for all tasks",
        network=_adapted,
        needs="transformer",
        decoders=("light", "swin"),
        lr=ADAPTERS_LR,
        own=("adapter", "embedding_dim", "reduction", "adapted_blocks", "decoder_sharing", "train_blocks"),
        trains_backbone=False,
        affinity=True,
        attention=True,
        shares=True,
        adapts=True,
        transfers=True,
        adds=True,
    ),
    "linear": Method(
        what="a linear probe: one layer per task on a frozen backbone, the floor for adapters",
        network=_probe,
        decoders=(),
        trains_backbone=False,
        adds=True,
    ),
    "dpt": Method(
        what="one DPT decoder per task on a frozen backbone, no adapters",
        network=_dpt,
        decoders=(),
        own=("dpt_width",),
        trains_backbone=False,
        adds=True,
    ),
    "lora": Method(
        what="low-rank changes of the adapted blocks' weights, shared by all tasks; the adapters' decoder",
        network=_lora,
        needs="transformer",
        decoders=("light", "swin"),
        own=("lora_rank", "lora_alpha", "adapted_blocks", "decoder_sharing"),
        trains_backbone=False,
        shares=True,
        adds=True,
    ),
    "stl": Method(
        what="single-task learning: one whole network per task, nothing shared",
        network=_single_task,
        objective="stl",
    ),
    "mtl-cnn": _ONE_CNN,
    "consistency": replace(
        _ONE_CNN,
        what="mtl-cnn whose predictions must look like the labels through networks from task to task",
        objective="consistency",
        own=("cross_task_share", "cross_task_width"),
        adapts=True,
        fewest_tasks=2,
    ),
    "xtam": Method(
        what="one CNN, a decoder per task in two levels, attention from task to task between them",
        network=_xtam,
        encoder="cnn_lite",
        decoders=("aspp",),
        adapts=True,
    ),
    "tawt": replace(
        _ONE_CNN,
        what="mtl-cnn whose losses are weighed by how well the tasks' gradients agree",
        objective="tawt",
        own=("tawt_every", "tawt_eta"),
        transfers=True,
        fewest_tasks=2,
    ),
    "mult": Method(
        what="a transformer trained end to end, a Swin decoder per task, all with the attention of one of them",
        network=_mult,
        needs="transformer",
        decoders=("swin",),
        own=("reference",),
        shares=True,
        adapts=True,
        transfers=True,
    ),
}
"""Name -> record, in the order in which they are listed."""


def those(wanted: Callable[[Method], bool]) -> list[str]:
    """Names of the methods for which ``wanted`` is true, in order."""
    return [name for name, method in METHODS.items() if wanted(method)]


def listed(names: list[str], last: str = "or") -> str:
    """Names as a sentence has them: "a, b or c"."""
    return f" {last} ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def all_compared() -> list[str]:
    """What "all" means to ``vtadapt compare``: the baseline, once for each encoder that is compared; adapters last.

    Delta_m compares with single-task training of the same encoder.
    """
    names = sorted(METHODS, key=lambda name: (name == DEFAULT, name != BASELINE))
    own = METHODS[BASELINE].encoder
    others = dict.fromkeys(METHODS[name].encoder for name in names if METHODS[name].encoder != own)
    return [*names[:1], *(f"{BASELINE}:{encoder}" for encoder in others), *names[1:]]
