"""The nearest pixel, for arrays and for tensors: one formula, so that what is stored and what is trained on agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def nearest_index(count: int, source: int) -> NDArray[np.int64]:
    """For each of ``count`` pixels the one of ``source`` under its centre: floor((i + 1/2) source / count)."""
    return (np.arange(count) * 2 + 1) * source // (2 * count)


def nearest_pixels(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize (H, W[, C]) to ``size``, each pixel from the one under its centre."""
    if array.shape[:2] == size:
        return array
    found: NDArray[Any] = array[np.ix_(*(nearest_index(n, side) for n, side in zip(size, array.shape, strict=False)))]
    return found


def nearest(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (..., H, W) to ``size``, each pixel from the one under its centre."""
    import torch

    height, width = tensor.shape[-2:]
    if (height, width) == tuple(size):
        return tensor
    rows, columns = (torch.from_numpy(nearest_index(n, side)) for n, side in zip(size, (height, width), strict=True))
    return tensor.index_select(-2, rows).index_select(-1, columns)
