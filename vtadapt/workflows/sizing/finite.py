"""Predictions that are numbers: what is not is named, before anything is counted, decoded or drawn from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from vtadapt.digits import percent
from vtadapt.errors import VtadaptError

Logits = TypeVar("Logits", bound=Mapping[str, Tensor])


class NotFiniteError(VtadaptError):
    """A network says NaN or infinity."""


def need_finite(logits: Logits, where: str = "") -> Logits:
    """Return logits (task -> (B, C, H, W)) as they are.

    Args:
        logits: of a network.
        where: what they are of, for the message.

    Raises:
        NotFiniteError: some are NaN or infinite.
    """
    for name, value in logits.items():
        # A sum is not finite where any term is not; it takes a fifth of the time, and overflows at worst.
        if not torch.isfinite(value.detach().sum()) and (share := 1 - float(value.isfinite().float().mean())) > 0:
            raise NotFiniteError(
                f"predictions of task {name!r}{f' for {where}' if where else ''} are NaN or infinite ({percent(share)} "
                "of them): the weights have diverged or are damaged; train again with a lower --lr, or take another run"
            )
    return logits


def need_finite_weights(tensors: Mapping[str, Tensor], step: int, kept: str) -> None:
    """See that what would be saved of a run has not diverged.

    Args:
        tensors: by name.
        step: after which.
        kept: files of before, for the message.

    Raises:
        NotFiniteError: one of them is not finite; names it.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise NotFiniteError(
                f"the run has diverged: {name} is NaN or infinite after step {step}; nothing of that is kept "
                f"({f'{kept} are from before' if kept else 'it had saved nothing yet'}); train again with a lower --lr"
            )
