"""SYNTHIA-RAND-CITYSCAPES: RGB/NAME.png, GT/LABELS/NAME.png and Depth/Depth/NAME.png (or Depth/NAME.png), 760x1280.

Labels are 16-bit PNG whose red channel is the class and whose green channel is the instance (official README of
26 June 2016: "two channels"; the published files have three); readers of 8 bits give garbage. Depth is 16-bit
centimetres, the same in each channel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from vtadapt.data.readers.base import Arrays, Item, Reader, Strict
from vtadapt.data.readers.files.depth import DepthOptions, measured
from vtadapt.data.readers.files.layout import folder_with, names_in, sort_labels
from vtadapt.data.readers.raw.png16 import read_png16
from vtadapt.data.recipe.strict import Seed
from vtadapt.errors import ConfigError, DataError

HIGHEST = 22  # of the classes in the files
LABELS = "the 16-bit PNG of GT/LABELS with the class in its red channel (GT/COLOR and converted copies will not do)"
DEPTH = "the 16-bit PNG of Depth, in centimetres"


class Shares(Strict):
    """The share of the pictures that each split gets; the sorted names are shuffled with ``seed`` first."""

    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)
    seed: Seed = 42

    @field_validator("fractions")
    @classmethod
    def _at_most_all(cls, value: dict[str, float]) -> dict[str, float]:
        if sum(value.values()) > 1 + 1e-9:
            raise ValueError("the fractions add up to more than 1")
        return value


class SynthiaOptions(DepthOptions):
    """How pictures are divided.

    ``split``: there is no official one; see :class:`Shares`. ``all_train``: train is every picture, and the other
    splits are empty (as a source of domain adaptation; ``optional_splits`` must name them).
    """

    split: Shares = Shares(fractions={"train": 0.8, "val": 0.2})
    all_train: bool = False


class Synthia(Reader):
    """Rendered street scenes that are not in any order; the folder may be the one that holds ``RAND_CITYSCAPES``."""

    Options = SynthiaOptions
    every_sample_has = "its picture in RGB"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """The split's share of the pictures in RGB, sorted by name, with those labels that are there."""
        root = folder_with(source, "RGB", self.recipe.source.layout)
        names = sorted(n for n in names_in(root / "RGB") if n.lower().endswith(".png"))
        if not names:
            raise DataError(f"{root / 'RGB'}: no .png pictures; wanted {self.recipe.source.layout}")
        chosen = self._share(names, split)
        listings: dict[Path, set[str]] = {}
        depth = root / "Depth" / "Depth"
        folders = {"semseg": root / "GT" / "LABELS", "depth": depth if depth.is_dir() else root / "Depth"}
        folders = {task: folder for task, folder in folders.items() if task in self.wanted}
        items = []
        for name in chosen:
            there, absent = sort_labels({task: folder / name for task, folder in folders.items()}, listings)
            items.append(Item(Path(name).stem, {"image": root / "RGB" / name, **there}, absent=absent))
        return items

    def load(self, item: Item) -> Arrays:
        """Picture, class ids with void as 255, and depth in metres with 0 = missing."""
        return self.picture_and(item, {"semseg": self._classes, "depth": self._depth})

    def _share(self, names: list[str], split: str) -> list[str]:
        """Sorted names of a split: a part of ``numpy.random.default_rng(seed).permutation``, so machines agree."""
        how: Shares = self.options.split
        if self.options.all_train:
            return names if split == "train" else []
        if split not in how.fractions:
            if split in self.options.optional_splits:
                return []
            raise ConfigError(f"recipe {self.recipe.name!r}: options.split.fractions has no split {split!r}")
        order = np.random.default_rng(how.seed).permutation(len(names))
        ends = np.round(np.cumsum(list(how.fractions.values())) * len(names)).astype(int)
        which = list(how.fractions).index(split)
        return sorted(names[i] for i in order[ends[which - 1] if which else 0 : ends[which]])

    def _classes(self, path: Path) -> NDArray[np.generic]:
        raw = read_png16(path, (2, 4, 6), LABELS)[..., 0]
        if (highest := int(raw.max())) > HIGHEST:
            raise DataError(f"{path}: class {highest} in the red channel, wanted 0..{HIGHEST}; {LABELS}")
        return self.class_ids("semseg", raw, path)

    def _depth(self, path: Path) -> NDArray[np.float32]:
        raw = read_png16(path, (0, 2, 4, 6), DEPTH)
        raw = raw if raw.ndim == 2 else raw[..., 0]
        return measured(raw, raw * np.float32(self.options.metres), self.options)
