"""The list of readers: one file per source format; ``READERS`` is the one list, by the name that recipes use."""

from __future__ import annotations

from collections.abc import Sequence

from vtadapt.data.readers.base import Item, Reader
from vtadapt.data.readers.columns.huggingface import HuggingFace
from vtadapt.data.readers.folder.folder import Folder
from vtadapt.data.readers.published.bsds500 import Bsds500
from vtadapt.data.readers.published.camvid import CamVid
from vtadapt.data.readers.published.cityscapes import Cityscapes
from vtadapt.data.readers.published.hypersim import Hypersim
from vtadapt.data.readers.published.mtan import Mtan
from vtadapt.data.readers.published.nyud_mt import NyudMt
from vtadapt.data.readers.published.nyuv2 import Nyuv2
from vtadapt.data.readers.published.pascal_context import PascalContext
from vtadapt.data.readers.published.sevenscenes import SevenScenes
from vtadapt.data.readers.published.synthia import Synthia
from vtadapt.data.readers.published.taskonomy import Taskonomy
from vtadapt.data.readers.published.vkitti2 import Vkitti2
from vtadapt.data.readers.rendered.rooms import Rooms
from vtadapt.data.readers.rendered.streets import Streets
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, near_matches

READERS: dict[str, type[Reader]] = {
    "bsds500": Bsds500,
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "folder": Folder,
    "huggingface": HuggingFace,
    "hypersim": Hypersim,
    "mtan": Mtan,
    "nyud_mt": NyudMt,
    "nyuv2": Nyuv2,
    "pascal_context": PascalContext,
    "rooms": Rooms,
    "sevenscenes": SevenScenes,
    "streets": Streets,
    "synthia": Synthia,
    "taskonomy": Taskonomy,
    "vkitti2": Vkitti2,
}

__all__ = ["READERS", "Item", "Reader", "make_reader"]


def make_reader(recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> Reader:
    """The reader that a recipe names, with its options checked.

    Raises:
        ConfigError: unknown reader or option.
    """
    if recipe.reader not in READERS:
        raise ConfigError(
            f"recipe {recipe.name!r}: unknown reader {recipe.reader!r}.{near_matches(recipe.reader, READERS)} "
            f"Known: {', '.join(READERS)}"
        )
    return READERS[recipe.reader](recipe, size, tasks)
