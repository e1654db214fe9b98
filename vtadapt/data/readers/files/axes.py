"""Which way the axes of stored normals point: some files do not say, and those who made them did not write it down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.base import Item, Reader, ReaderOptions
from vtadapt.errors import DataError

Axis = Literal["x", "y", "z"]
SAMPLES = 16  # normals of so many samples are looked at
CLEAR = 0.1  # share of the evidence on one side from which on an axis is said to point the wrong way
CHANCE = 5  # standard deviations of that sum if every pixel had a sign of its own


class NormalsOptions(ReaderOptions):
    """``flip``: axes of the normals that point the other way in the files than +x right, +y down, +z away.

    ``auto`` looks at a few samples and turns those round along which their surfaces would face away from the camera
    (see :func:`wrong_axes`); the manifest says which. ``check_axes``: refuse a set whose normals, with the axes that
    ``flip`` names turned round, would do so.
    """

    flip: Literal["auto"] | tuple[Axis, ...] = "auto"
    check_axes: bool = True


def flip_of(reader: Reader) -> Sequence[str]:
    """The axes that a reader with :class:`NormalsOptions` turns round: those named, or decided so far."""
    named: Literal["auto"] | tuple[Axis, ...] = reader.options.flip
    return reader.decided.get("flip", ()) if named == "auto" else named


def wrong_axes(maps: Iterable[NDArray[np.float32]]) -> list[str]:
    """Axes that point the other way than +x right, +y down, +z away, as far as the normals themselves tell.

    A surface that is seen faces the camera: n . ray < 0 with ray = (u, v, 1), u and v growing to the right and down
    from the centre. Of a room's six walls each does so along its own axis: walls on the left face right (x u < 0),
    floors below face up (y v < 0), all face back (z < 0). So the sums of x u, y v and z over many pixels are negative
    where the axes are right, and positive for one that is flipped; slanted surfaces only add noise to them.

    Args:
        maps: (H, W, 3) unit vectors, zeros = missing.

    Returns:
        Those of x, y, z whose sum is positive by more than a tenth of the sum of magnitudes, and by more than what
        single pixels could give by chance.
    """
    signed, total, square = np.zeros(3), np.zeros(3), np.zeros(3)
    for vectors in maps:
        height, width = vectors.shape[:2]
        ray = np.empty_like(vectors)
        ray[..., 0] = (np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, :] / max(height, width)
        ray[..., 1] = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None] / max(height, width)
        ray[..., 2] = 1
        evidence = (vectors * ray).reshape(-1, 3)
        signed += evidence.sum(axis=0)
        total += np.abs(evidence).sum(axis=0)
        square += np.square(evidence).sum(axis=0)
    least = np.maximum(CLEAR * total, CHANCE * np.sqrt(square))
    return [axis for axis, s, wanted in zip("xyz", signed, least, strict=True) if s > wanted]


def check_axes(
    reader: Reader,
    found: Mapping[str, Sequence[Item]],
    task: str,
    load: Callable[[Item], NDArray[Any]],
) -> None:
    """Look at the normals of a few samples: turn axes round where ``flip`` is "auto", else refuse wrong ones.

    Args:
        reader: with :class:`NormalsOptions`; ``decided["flip"]`` is set.
        found: samples of each split.
        task: the key of the normals in their paths.
        load: reads the normals of one sample, turned as :func:`flip_of` says.

    Raises:
        DataError: it names the axes and the option to set.
    """
    automatic = reader.options.flip == "auto"
    reader.decided.pop("flip", None)
    items = [item for split in found.values() for item in split if task in item.roles]
    if not items or not (automatic or reader.options.check_axes):
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

    wrong = wrong_axes(maps())
    if automatic:
        reader.decided["flip"] = wrong
    elif wrong:
        better = [axis for axis in "xyz" if (axis in reader.options.flip) != (axis in wrong)]
        raise DataError(
            f"{looked_at[0]}: in this and {len(looked_at) - 1} other files the {task} face away from the camera along "
            f"{' and '.join(wrong)}; turn that round with --option 'flip=[{', '.join(better)}]' "
            "(or keep it with --option check_axes=false)"
        )
