"""One file per source format; ``READERS`` is the one list, by the name that recipes use."""

from __future__ import annotations

from collections.abc import Sequence

from vtadapt.data.readers.base import Item, Reader
from vtadapt.data.readers.camvid import CamVid
from vtadapt.data.readers.folder import Folder
from vtadapt.data.readers.rooms import Rooms
from vtadapt.data.readers.sevenscenes import SevenScenes
from vtadapt.data.recipe import Recipe
from vtadapt.errors import ConfigError, near_matches

READERS: dict[str, type[Reader]] = {
    "camvid": CamVid,
    "folder": Folder,
    "rooms": Rooms,
    "sevenscenes": SevenScenes,
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
