"""Reading the softmax of timm's attention, which its fused form never holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vtadapt.models.attention_maps import Head


@torch.no_grad()
def probabilities(attn: Any, count: int, run: Callable[[Any, Tensor], None], head: Head, *, at_once: int) -> Tensor:
    """Run timm's unfused attention and return its probabilities.

    Args:
        attn: timm's module; its dropout is what the softmax enters.
        count: windows (or images, where there are no windows) to run.
        run: ``run(attn, chosen)`` calls the module's forward on those with the numbers ``chosen``.
        head: "mean" over heads, one head's number, or "all".
        at_once: how many are in memory together with all their heads.

    Returns:
        (count, heads or 1, N, N), on the CPU.
    """
    heard: list[Tensor] = []

    def read(_: nn.Module, inputs: Any) -> None:
        p = inputs[0].float()
        p = p.mean(1, keepdim=True) if head == "mean" else p if isinstance(head, str) else p[:, head : head + 1]
        heard.append(p.cpu())

    handle = attn.attn_drop.register_forward_pre_hook(read)
    fused = getattr(attn, "fused_attn", None)  # SwinV2 has no fused form
    if fused is not None:
        attn.fused_attn = False
    try:
        for chosen in torch.arange(count).split(at_once):
            run(attn, chosen)
    finally:
        if fused is not None:
            attn.fused_attn = fused
        handle.remove()
    return torch.cat(heard)
