"""Damaged files that once ended the process, where they lie beside us: each is one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.formats.bsds500 import write_bsds500
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.raw.mat import read_mat
from vtadapt.data.readers.raw.npy import read_npy
from vtadapt.data.readers.raw.rgb import read_rgb
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import VtadaptError

REFUSED: dict[str, Callable[[Path], object]] = {
    "pack_segv": lambda path: open_pack(path, "rooms", "train"),
    "pack_hang": lambda path: open_pack(path, "rooms", "train"),
    "bsds_segv.mat": lambda path: read_mat(path, "groundTruth", "an annotation"),
    "pascal_part_segv.mat": lambda path: read_mat(path, "anno", "an annotation"),
    "x.npy": read_npy,
    **dict.fromkeys(("iccp.png", "x.tif", "other199.jpg", "other388.jpg", "other2748.jpg"), read_rgb),
    **{f"deep{depth}.yaml": lambda path: load_recipe(str(path)) for depth in (1000, 5000, 20000, 100000)},
}


@pytest.fixture
def trust(shared_data: Path) -> Path:
    """The folder of the inputs, beside that of the real sample sets."""
    folder = shared_data.parent / "cases" / "trust"
    if not folder.is_dir():
        pytest.skip(f"no inputs that once failed at {folder}")
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(trust: Path, name: str) -> None:
    with pytest.raises(VtadaptError) as caught:
        REFUSED[name](trust / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_that_crashes_its_parser_is_left_out(trust: Path, tmp_path: Path) -> None:
    write_bsds500(tmp_path / "src", {"train": 3, "val": 1, "test": 1})
    shutil.copy(trust / "bsds_segv.mat", tmp_path / "src" / "groundTruth" / "train" / "train100.mat")
    options = PrepareOptions(size="native", skip_broken=True)
    manifest = prepare(load_recipe("bsds500"), tmp_path / "src", tmp_path / "data", options)
    [broken] = manifest["splits"]["train"]["broken"]
    assert "train100.mat: not a whole MATLAB v5 file" in broken["problem"]
    assert len(open_pack(tmp_path / "data", "bsds500", "train")) == 2
