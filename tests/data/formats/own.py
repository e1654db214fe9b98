"""Small data sets of one's own: a recipe as people write it, pictures, labels, and what the pack holds of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import VtadaptError

Labels = dict[str, dict[str, np.ndarray]]
SHAPE = (12, 16)  # of every picture
ABOUT = {"name": "mine", "title": "t", "licence": "own", "reader": "folder"}


def prepared(recipe: Path, source: Path, out: Path, follow_links: bool = False) -> tuple[dict[str, Any], Labels]:
    """Manifest of the pack that is made, and what it holds: name of the sample -> task -> label."""
    known = load_recipe(recipe)
    manifest = prepare(known, source, out, PrepareOptions(workers=0, force=True, follow_links=follow_links))
    held: Labels = {}
    for split in manifest["splits"]:
        reader = open_pack(out, known.name, split)
        held |= {name: reader.read(i) for i, name in enumerate(reader.names)}
        reader.close()
    return manifest, held


class OwnSet:
    """Pictures below ``root/src/images``, labels of task ``x`` at ``labels/{path}SUFFIX``, all in the split "train".

    Args:
        root: where it lies, with the pack.
        task: the task of the recipe.
        how: ``options.labels.x`` but for ``files``.
        suffix: of the labels.
        options: of the reader, beside those.
    """

    def __init__(
        self,
        root: Path,
        task: Mapping[str, Any],
        how: Mapping[str, Any] | None = None,
        suffix: str = ".png",
        **options: Any,
    ) -> None:
        self.root, self.source, self.suffix = root, root / "src", suffix
        self.follow_links = False
        labels = {"x": {"files": f"labels/{{path}}{suffix}", **(how or {})}}
        split = {"fractions": {"train": 1.0}}
        own = {"image": "images/**/*.png", "labels": labels, "split": split, **options}
        self.recipe = {**ABOUT, "splits": ["train"], "tasks": {"x": dict(task)}, "options": own}

    def picture(self, name: str, image: Image.Image | None = None) -> Path:
        """Write a picture, grey if none is given; its path."""
        path = self.source / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (image or Image.new("RGB", SHAPE[::-1], (9, 99, 199))).save(path)
        return path

    def label(self, name: str) -> Path:
        """Where the label of a picture has to lie."""
        path = self.source / "labels" / f"{name}{self.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def fill(self, write: Callable[[Path, np.ndarray], object], *arrays: np.ndarray) -> OwnSet:
        """A picture and its label for each of the arrays: samples "0", "1", ..."""
        for i, array in enumerate(arrays):
            self.picture(f"{i}.png", Image.new("RGB", array.shape[1::-1], (i, 99, 199)))
            write(self.label(str(i)), array)
        return self

    def prepare(self) -> tuple[dict[str, Any], Labels]:
        """Manifest and labels; see :func:`prepared`."""
        path = self.root / "mine.yaml"
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # long lists take PyYAML alone many seconds
        path.write_text(yaml.dump(self.recipe, Dumper=dumper, sort_keys=False), encoding="utf-8")
        return prepared(path, self.source, self.root / "data", self.follow_links)

    def found(self) -> list[np.ndarray]:
        """The labels of task ``x`` in the pack, by name of their sample."""
        _, held = self.prepare()
        return [held[name]["x"] for name in sorted(held)]

    def refused(self, *words: str) -> str:
        """The one line that the set is refused with; ``words`` are in it."""
        with pytest.raises(VtadaptError) as caught:
            self.prepare()
        text = str(caught.value)
        assert "\n" not in text
        for word in words:
            assert word in text
        return text
