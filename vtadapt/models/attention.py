"""Task-adapted attention: one learned, task-modulated bias per adapted block, added to the logits of its attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vtadapt.models.conditioning import FiLM


class TaskAdaptedAttention(nn.Module):
    """The task's own addition to the attention logits of one block.

    A0 in R^{N x w} starts at zero; FiLM(z_t) gives A0'(z_t) in R^{N x w}; its rows are cut into chunks of w rows which
    are laid block-diagonally into A'(z_t) in R^{N x N}, the other cells are empty (slides). The block then computes

        softmax(q k^T / sqrt(d) + relative position bias + A'(z_t) [+ shift mask]) v

    with the same A' for every head and window. With A' = 0 this is the block's own attention.
    """

    def __init__(self, window_size: tuple[int, int], embedding_dim: int) -> None:
        """Create A0 and its FiLM layer for windows of ``window_size`` tokens (height, width)."""
        super().__init__()
        self.window_size = window_size
        height, width = window_size
        self.a0 = nn.Parameter(torch.zeros(height * width, width))
        self.film = FiLM(embedding_dim, width)

    def bias(self, z: Tensor) -> Tensor:
        """A'(z), block-diagonal.

        Args:
            z: (T, E).

        Returns:
            (T, N, N); entry [t, i, j] is added to the logit of query i and key j.
        """
        height, width = self.window_size
        blocks = self.film(self.a0, z).view(-1, height, width, width)  # (T, h, w, w)
        eye = torch.eye(height, dtype=blocks.dtype, device=blocks.device)
        # With the identity over (i, j) only the diagonal blocks are filled, without a loop and with gradients to A0.
        full = torch.einsum("tipq,ij->tipjq", blocks, eye)  # (T, h, w, h, w)
        return full.reshape(-1, height * width, height * width)
