"""What readers say of broken files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError


def check_refusal(
    recipe: str, root: Path, message: str, spoil: Callable[[Path], None] | None = None, role: str = ""
) -> None:
    """The first sample of train is refused in one line that matches ``message``, and names the file that is spoilt.

    Args:
        recipe: name of the data set.
        root: its folder.
        message: regular expression.
        spoil: breaks the sample's file of ``role``; None where the files are broken already.
    """
    reader = make_reader(load_recipe(recipe))
    item = reader.find(root, "train")[0]
    if spoil is not None:
        spoil(item.paths[role])
    with pytest.raises(DataError, match=message) as caught:
        reader.load(item)
    assert "\n" not in str(caught.value)
    assert spoil is None or str(item.paths[role]) in str(caught.value)
