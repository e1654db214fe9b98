"""The form in which what was encoded of one picture is kept: bfloat16, all parts in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

KEPT = torch.bfloat16
Parts = tuple[Tensor, ...]


class Form:
    """Shapes of the parts of one picture, and how they become bytes and tensors again."""

    def __init__(self, shapes: Sequence[Sequence[int]]) -> None:
        """Keep the shapes, without the batch."""
        self.shapes = [tuple(shape) for shape in shapes]
        self.counts = [math.prod(shape) for shape in self.shapes]
        self.bytes = sum(self.counts) * KEPT.itemsize

    @staticmethod
    def rounded(parts: Sequence[Tensor]) -> Parts:
        """The parts as they are kept; training reads no others, not even the first time, so that it can be repeated."""
        return tuple(part.to(KEPT).contiguous() for part in parts)

    def pack(self, parts: Parts) -> bytes:
        """The bytes of what :meth:`rounded` gave."""
        row = torch.cat([part.flatten() for part in parts]).cpu()
        return row.view(torch.uint8).numpy().tobytes()

    def unpack(self, content: bytearray, start: int = 0) -> Parts:
        """Undo :meth:`pack`, from the byte ``start`` on; the tensors use the memory of ``content``."""
        rows = torch.frombuffer(content, dtype=KEPT, offset=start).split(self.counts)
        return tuple(row.view(shape) for row, shape in zip(rows, self.shapes, strict=True))
