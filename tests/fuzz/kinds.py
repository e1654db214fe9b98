"""What is fuzzed: per kind of input how a whole one is made, how it is damaged, and what then reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.fuzz import data_kinds, file_kinds, run_kinds, set_kinds


class Kind(NamedTuple):
    """One kind of input.

    Attributes:
        make: what cases start from, made once in a folder.
        write: a case, written into an empty folder, from what was made.
        read: what a command does with such a folder; a ``VtadaptError`` is documented, all else is a fault.
    """

    make: Callable[[Path], Any]
    write: Callable[[Random, Any, Path], None]
    read: Callable[[Path], object]


KINDS: dict[str, Kind] = {
    "pack": Kind(data_kinds.make_pack, data_kinds.write_pack, data_kinds.read_pack),
    "manifest": Kind(data_kinds.make_pack, data_kinds.write_manifest, data_kinds.read_pack),
    "recipe": Kind(data_kinds.make_recipes, data_kinds.write_recipe, data_kinds.read_recipe),
    "settings": Kind(run_kinds.make_settings, run_kinds.write_settings, run_kinds.read_settings),
    "config": Kind(run_kinds.make_run, run_kinds.write_config, run_kinds.read_run),
    "state": Kind(run_kinds.make_run, run_kinds.write_state, run_kinds.read_state),
    "weights": Kind(run_kinds.make_weights, run_kinds.write_weights, run_kinds.read_weights),
    "pictures": Kind(file_kinds.make_pictures, file_kinds.write_picture, file_kinds.read_picture),
    "npy": Kind(file_kinds.make_arrays, file_kinds.write_array, file_kinds.read_array),
    "mat": Kind(file_kinds.make_mats, file_kinds.write_mat, file_kinds.read_mat),
    "video": Kind(file_kinds.make_videos, file_kinds.write_video, file_kinds.read_video),
    **{
        form: Kind(set_kinds.make_tables(form), set_kinds.write_set, set_kinds.read_set)
        for form in ("parquet", "arrow", "lists")
    },
    **{
        form: Kind(set_kinds.make_annotated(form), set_kinds.write_set, set_kinds.read_set)
        for form in set_kinds.FORMATS
    },
}
"""By name."""
