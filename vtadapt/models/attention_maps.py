"""Attention probabilities put back in place on the map of tokens, and what can be read off them. Plain tensors only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Head = int | Literal["mean", "all"]


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What the tokens of one image attend to in one block, window by window, and where each window's tokens lie.

    A transformer without windows has one window that holds all tokens; a token that is no place of the image (a class
    token, padding) has no place here.

    Attributes:
        weights: (M, heads, N, N) probabilities of M windows of N tokens; [m, :, i, j] is how much query i looks at key
            j; rows sum to 1. ``heads`` is 1 where heads were averaged or chosen.
        places: (M, N) int64, token (y, x) as y * w + x; -1 for what has no place in the map. Shifted windows, and the
            order of padding and shifting, are in here: nothing that reads this object knows about either.
        visible: (M, N, N) bool, False where the block does not let query i see key j.
        size: (h, w) of the map in tokens.
        shown: (rows, columns) that see the image; tokens right and below of them see its padding only.
        stride: pixels of the network's input per token and side.
    """

    weights: Tensor
    places: Tensor
    visible: Tensor
    size: tuple[int, int]
    shown: tuple[int, int]
    stride: int = 1

    def received(self) -> Tensor:
        """How much attention each token receives: (rows, columns).

        The sum over the queries that see the image, averaged over heads. Under uniform attention it is 1 everywhere,
        whatever the size of the window: the mean over queries times their number.
        """
        return self.picture(self.step(self.everyone()))

    def query(self, y: int, x: int) -> Tensor:
        """Where token (y, x) looks, averaged over heads: (rows, columns), zero outside its window.

        The sum is 1 less what fell on padding.
        """
        return self.picture(self.step(self.only(y, x)))

    def reach(self, y: int, x: int) -> Tensor:
        """The tokens that token (y, x) can see: (rows, columns) bool."""
        return self.picture(self.look(self.only(y, x)))

    def regions(self) -> Tensor:
        """Which tokens look at each other: (rows, columns) int64, one number per window, or part of one that mixes."""
        tokens = self.size[0] * self.size[1]
        seen = torch.where(self.places >= 0, self.places, tokens)[:, None].expand_as(self.visible)
        first = torch.where(self.visible, seen, tokens).amin(-1)  # (M, N), the first token that each one sees
        inside = self.places >= 0
        out = torch.zeros(tokens, dtype=torch.int64, device=first.device)
        out[self.places[inside]] = first[inside]
        return self.picture(out)

    def most_focused(self) -> tuple[int, int, float]:
        """The token that looks at the fewest others: (y, x) and the entropy of its attention, 1 = uniform.

        Entropy is divided by the log of the number of tokens seen. Only tokens that see as many as any other are
        compared, because cut windows at the border would win by being small; of equal ones the first in reading order.
        """
        p = self.weights.mean(1)  # (M, N, N)
        seen = (self.visible & self._real()[:, None]).sum(-1)  # (M, N)
        entropy = torch.special.entr(p).sum(-1) / self.visible.sum(-1).clamp_min(2).log()
        real = self._real()
        entropy = torch.where(real & (seen == seen[real].max()), entropy, torch.inf)
        flat = torch.full((self.size[0] * self.size[1],), torch.inf).to(entropy)
        flat[self.places[real]] = entropy[real]
        best = int(flat.argmin())
        return best // self.size[1], best % self.size[1], float(flat[best])

    def everyone(self) -> Tensor:
        """1 for each token that sees the image: (h * w,)."""
        amounts = torch.zeros(self.size, device=self.weights.device)
        amounts[: self.shown[0], : self.shown[1]] = 1
        return amounts.flatten()

    def only(self, y: int, x: int) -> Tensor:
        """1 for token (y, x): (h * w,)."""
        if not (0 <= y < self.shown[0] and 0 <= x < self.shown[1]):
            raise ValueError(f"token ({y}, {x}) is not in the map of {self.shown[0]} x {self.shown[1]} tokens")
        amounts = torch.zeros(self.size, device=self.weights.device)
        amounts[y, x] = 1
        return amounts.flatten()

    def step(self, amounts: Tensor) -> Tensor:
        """v^T A: hand what each query holds to the keys it looks at, (h * w,) -> (h * w,); padding keeps nothing."""
        given = self._windows(amounts)  # (M, N)
        taken = torch.einsum("mi,mhij->mj", given, self.weights) / self.weights.shape[1]
        inside = self.places >= 0
        return torch.zeros_like(amounts).index_add_(0, self.places[inside], taken[inside])

    def look(self, amounts: Tensor) -> Tensor:
        """As :meth:`step`, for the question who can be seen at all: (h * w,) bool."""
        seen = ((self._windows(amounts) > 0)[:, :, None] & self.visible).any(1)  # (M, N)
        out = torch.zeros_like(amounts, dtype=torch.bool)
        out[self.places[seen & (self.places >= 0)]] = True
        return out

    def picture(self, amounts: Tensor) -> Tensor:
        """Lay (h * w,) out as (rows, columns), without padding."""
        return amounts.view(self.size)[: self.shown[0], : self.shown[1]]

    def _windows(self, amounts: Tensor) -> Tensor:
        return torch.where(self.places >= 0, amounts[self.places.clamp_min(0)], 0)

    def _real(self) -> Tensor:
        """(M, N) bool: the token sees the image."""
        return self._windows(self.everyone()) > 0


def rollout(maps: Sequence[AttentionMaps], query: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """Attention rollout through consecutive blocks of one stage, restricted to their windows.

    Each block counts as A_hat = 0.5 A + 0.5 I, half attention and half residual connection, and blocks are composed,

        R = A_hat_n ... A_hat_2 A_hat_1        (Abnar and Zuidema 2020, section 3)

    so that where windows shift from block to block, what a token gathered in one window reaches the tokens of others.
    What is asked for is one row of R, or the sum of all; it is carried backwards through the blocks, R is never formed.
    Rollout knows attention and residual only: not the feed-forward part, the norms and the adapters, which act on each
    token on its own. It does not cross a stage boundary, where patch merging makes one token of four (our reading: it
    starts anew at the first adapted block of a stage).

    Args:
        maps: of the blocks of one stage, first to last.
        query: (y, x), whose row is wanted; None for the sum over all tokens that see the image.

    Returns:
        The map (rows, columns), and as bool which tokens can be reached at all.
    """
    last = maps[-1]
    amounts = last.everyone() if query is None else last.only(*query)
    reached = amounts > 0
    for block in reversed(maps):
        reached = reached | block.look(reached.to(amounts))
        amounts = 0.5 * amounts + 0.5 * block.step(amounts)
    return last.picture(amounts), last.picture(reached)
