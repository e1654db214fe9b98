"""Depth that is stored as whole numbers, as renderers write it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import ReaderOptions


class DepthOptions(ReaderOptions):
    """How 16-bit depth is read.

    ``metres``: of one unit of the depth files. ``missing``: their values that mean no measurement. ``max_depth``: depth
    beyond so many metres is stored as missing; null keeps all.
    """

    metres: float = Field(0.01, gt=0)
    missing: tuple[int, ...] = (0, 65535)
    max_depth: float | None = Field(None, gt=0)


def measured(stored: NDArray[Any], depth: NDArray[np.float32], options: DepthOptions) -> NDArray[np.float32]:
    """Depth with 0 where nothing was measured or ``options.max_depth`` is exceeded.

    Args:
        stored: (H, W) numbers of the file.
        depth: (H, W) the same in metres.
        options: what counts as missing.
    """
    known = ~np.isin(stored, options.missing)
    if options.max_depth is not None:
        known &= depth <= options.max_depth
    return np.where(known, depth, 0).astype(np.float32)
