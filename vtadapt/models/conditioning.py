"""Task conditioning: embeddings mixed by the affinity matrix, FiLM, and the task-scaled norm."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TaskEmbedding(nn.Module):
    """One learned row e_s per task, mixed by the affinity matrix.

    z_t = sum_s A[s, t] e_s / sum_s A[s, t]          (slides: weighted averaging with the target's column)

    A column that sums to zero says nothing about its target; that target then keeps its own row (our reading).
    """

    def __init__(self, num_tasks: int, dim: int) -> None:
        """Create ``num_tasks`` rows of ``dim`` numbers, drawn from N(0, 1/dim) so that |e_s| is about 1."""
        super().__init__()
        # Of length 1 whatever E is, so that FiLM layers learn at the same speed for every embedding size.
        self.weight = nn.Parameter(torch.randn(num_tasks, dim) * dim**-0.5)

    def forward(self, affinity: Tensor) -> Tensor:
        """Mix the rows.

        Args:
            affinity: (S, T), rows are sources, columns are targets, entries >= 0; of the first S tasks where there are
                more.

        Returns:
            (T, E) one conditioning vector per target.
        """
        total = affinity.sum(dim=0, keepdim=True)  # (1, T)
        eye = torch.eye(*affinity.shape, dtype=affinity.dtype, device=affinity.device)
        column = torch.where(total > 0, affinity / total.clamp_min(torch.finfo(affinity.dtype).tiny), eye)
        # A column speaks about its target (slides), hence the transpose.
        return column.t() @ self.weight[: len(affinity)]


class FiLM(nn.Module):
    """Feature-wise linear modulation: y = (1 + gamma) x + beta with (gamma, beta) = Linear(z).

    Weight and bias start at zero, so a new FiLM layer is the identity. (Paper section 3; FiLM, Perez et al. 2018.)
    """

    def __init__(self, embedding_dim: int, dim: int) -> None:
        """Create the layer for z in R^embedding_dim and features of ``dim`` channels."""
        super().__init__()
        self.linear = nn.Linear(embedding_dim, 2 * dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Modulate.

        Args:
            x: (..., d), the same for all tasks.
            z: (T, E).

        Returns:
            (T, ..., d).
        """
        gamma, beta = self.linear(z).chunk(2, dim=-1)  # (T, d) each
        shape = (z.shape[0],) + (1,) * (x.dim() - 1) + (x.shape[-1],)
        return (1 + gamma.view(shape)) * x + beta.view(shape)


class TaskScaledNorm(nn.Module):
    """Layer normalisation whose scale and shift depend on the task.

    y = (x - mu) / sigma * g + b,   g = gamma' (1 + G z_t) + Bg z_t,   b = beta' + Bb z_t

    gamma' and beta' start as the LayerNorm given and are trained; G, Bg and Bb start at zero, so that at step 0 the
    layer equals that LayerNorm to rounding. (Paper section 3, task-scaled norm.)
    """

    def __init__(self, norm: nn.Module, embedding_dim: int) -> None:
        """Start from ``norm``, which is copied, not shared: a LayerNorm, or a norm of scale alone (RMSNorm)."""
        super().__init__()
        weight = cast(Tensor, norm.weight)
        bias: Tensor | None = getattr(norm, "bias", None)
        dim = len(weight)
        self.eps = float(cast(Any, norm).eps)
        self.gamma = nn.Parameter(weight.detach().clone())
        self.beta = nn.Parameter(torch.zeros_like(weight) if bias is None else bias.detach().clone())
        self.linear = nn.Linear(embedding_dim, 3 * dim, bias=False)  # rows: G, Bg, Bb
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Normalise over channels.

        Args:
            x: (B, T, H, W, C), or with any two sizes in place of H and W.
            z: (T, E).

        Returns:
            As x.
        """
        scale, add, shift = self.linear(z).chunk(3, dim=-1)  # (T, C) each
        g = self.gamma * (1 + scale) + add
        b = self.beta + shift
        # Without weight and bias: those depend on the task, so the kernel cannot apply them itself.
        y = F.layer_norm(x, (self.linear.out_features // 3,), eps=self.eps)
        return y * g[:, None, None, :] + b[:, None, None, :]
