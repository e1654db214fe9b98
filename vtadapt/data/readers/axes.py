"""Which way the axes of stored normals point: some files do not say, and those who made them did not write it down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.base import Item, ReaderOptions
from vtadapt.errors import DataError

Axis = Literal["x", "y", "z"]
SAMPLES = 16  # normals of so many samples are looked at
CLEAR = 0.1  # share of the evidence on one side from which on an axis is said to point the wrong way


class NormalsOptions(ReaderOptions):
    """``flip``: axes of the normals that point the other way in the files than +x right, +y down, +z away.

    ``check_axes``: refuse a set whose normals would face away from the camera along an axis (see
    :func:`wrong_axes`).
    """

    flip: tuple[Axis, ...] = ()
    check_axes: bool = True


def wrong_axes(maps: Iterable[NDArray[np.float32]]) -> list[str]:
    """Axes that point the other way than +x right, +y down, +z away, as far as the normals themselves tell.

    A surface that is seen faces the camera: n . ray < 0 with ray = (u, v, 1), u and v growing to the right and down
    from the centre. Of a room's six walls each does so along its own axis: walls on the left face right (x u < 0),
    floors below face up (y v < 0), all face back (z < 0). So the sums of x u, y v and z over many pixels are negative
    where the axes are right, and positive for one that is flipped; slanted surfaces only add noise to them.

    Args:
        maps: (H, W, 3) unit vectors, zeros = missing.

    Returns:
        Those of x, y, z whose sum is positive by more than a tenth of the sum of magnitudes.
    """
    signed, total = np.zeros(3), np.zeros(3)
    for vectors in maps:
        height, width = vectors.shape[:2]
        ray = np.empty_like(vectors)
        ray[..., 0] = (np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, :] / max(height, width)
        ray[..., 1] = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None] / max(height, width)
        ray[..., 2] = 1
        evidence = (vectors * ray).reshape(-1, 3)
        signed += evidence.sum(axis=0)
        total += np.abs(evidence).sum(axis=0)
    return [axis for axis, s, t in zip("xyz", signed, total, strict=True) if s > CLEAR * t]


def check_axes(
    found: Mapping[str, Sequence[Item]],
    task: str,
    options: NormalsOptions,
    load: Callable[[Item], NDArray[Any]],
) -> None:
    """Look at the normals of a few samples, and refuse the set where an axis points the wrong way.

    Args:
        found: samples of each split.
        task: the key of the normals in their paths.
        options: with the axes that are flipped already.
        load: reads the normals of one sample, flipped as ``options`` say.

    Raises:
        DataError: it names the axes and the option to set.
    """
    items = [item for split in found.values() for item in split if task in item.paths]
    if not options.check_axes or not items:
        return
    chosen = [items[i] for i in np.unique(np.linspace(0, len(items) - 1, SAMPLES).astype(int))]
    looked_at: list[Path] = []

    def maps() -> Iterable[NDArray[np.float32]]:
        for item in chosen:
            try:
                vectors = load(item)
            except DataError:
                continue  # a broken file is named where it is loaded, or left out
            looked_at.append(item.paths[task])
            yield vectors

    if wrong := wrong_axes(maps()):
        better = [axis for axis in "xyz" if (axis in options.flip) != (axis in wrong)]
        raise DataError(
            f"{looked_at[0]}: in this and {len(looked_at) - 1} other files the {task} face away from the camera along "
            f"{' and '.join(wrong)}; turn that round with --option 'flip=[{', '.join(better)}]' "
            "(or keep it with --option check_axes=false)"
        )
