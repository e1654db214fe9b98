"""Photographs worked through in tiles: what is said of it, no seams, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtadapt.synthetic.rooms.rooms import render_room
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.predict.outputs import outputs
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.sizing.grid import Axis
from vtadapt.workflows.sizing.size import Sizing, units_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def demo() -> Loaded:
    return load_run(find_run("demo", Path("runs")))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (170, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_working_size_is_said(
    cli: Callable[..., Any], tiny: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footers = []
    drawn = outputs.prediction_page
    monkeypatch.setattr(
        outputs, "prediction_page", lambda *given, **words: footers.append(words["footer"]) or drawn(*given, **words)
    )
    common = ("predict", photo, "--run", tiny.run, "--out", tmp_path / "out", "--json")
    sizes = [(), ("--size", "native"), ("--size", "native", "--tile", "128"), ("--size", "85x150", "--tile", "none")]
    ran = [cli(*common, *options) for options in sizes]
    assert [(e["run_size"], e["tiles"]) for r in ran for e in json.loads(r.out)] == [
        ([36, 64], 1),
        ([170, 300], 1),
        ([170, 300], 6),
        ([85, 150], 1),
    ]
    assert footers == [
        "Run tiny-0001 at 36 x 64 (its own size is 170 x 300), height x width.",
        "Run tiny-0001 at 170 x 300, its own size, height x width.",
        "Run tiny-0001 at 170 x 300, its own size, in 6 tiles of 128 x 128, height x width.",
        "Run tiny-0001 at 85 x 150 (its own size is 170 x 300), height x width.",
    ]
    assert [part for part in ("at 36 x 64,", "at 170 x 300, 6 tiles,") if any(part in r.err for r in ran)] == [
        "at 36 x 64,",
        "at 170 x 300, 6 tiles,",
    ]


@pytest.mark.parametrize(("tile", "words"), [("64", "128 pixels"), ("big", "wanted auto, none"), ("0", "wanted auto")])
def test_tiles_that_do_not_fit(
    cli: Callable[..., Any], tiny: Any, photo: Path, tmp_path: Path, tile: str, words: str
) -> None:
    ran = cli("predict", photo, "--run", tiny.run, "--out", tmp_path / "out", "--size", "native", "--tile", tile)
    assert ran.code == 2
    assert f"tile '{tile}'" in ran.err
    assert words in ran.err


def test_raw_arrays_of_tiles_have_the_photographs_size(tiny: Any, photo: Path, tmp_path: Path) -> None:
    for size in ("native", "200x260", "140x500"):
        entry = predict([photo], tiny.run, tmp_path / "out", size=size, tile="128", raw=True)[0]
        assert entry["tiles"] > 1
        with np.load(entry["raw"]) as arrays:
            assert {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays} == {
                "semseg": ((170, 300), "uint8"),
                "depth": ((170, 300), "float32"),
                "normals": ((170, 300, 3), "float32"),
                "edges": ((170, 300), "float32"),
            }
            assert np.allclose(np.linalg.norm(arrays["normals"], axis=-1), 1, atol=1e-5)


def test_tiles_are_blended_where_they_meet(demo: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tiles say less what the whole says moves slowly from column to column there; put side by side it jumps."""
    rgb = render_room(7, (256, 1100))["image"]
    sizing = Sizing("native", "512")
    plan = sizing.plan((256, 1100), demo.size, units_of(demo.model))
    assert plan.grid is not None
    spans = plan.grid.columns.spans
    assert len(spans) == 3
    shared = torch.zeros(1099, dtype=torch.bool)
    for (_, end), (begin, _) in zip(spans, spans[1:], strict=False):
        shared[begin - 1 : end] = True
    whole = Predictor(demo, Sizing("native", "none"))(rgb).maps
    tiled = Predictor(demo, sizing)(rgb).maps
    blended = Axis._taken_over
    monkeypatch.setattr(Axis, "_taken_over", lambda *args: blended(*args).round())
    side_by_side = Predictor(demo, sizing)(rgb).maps
    for name in ("depth", "normals", "edges"):
        apart = tiled[name] - whole[name]
        jumps, cut = ((maps[name] - whole[name]).diff(dim=-1).abs().mean((0, 1)) for maps in (tiled, side_by_side))
        assert jumps[shared].max() <= 0.5 * cut[shared].max(), name
        assert apart.abs().mean() < 0.03 * whole[name].abs().mean(), name


PEAK = """
import resource, sys
import numpy as np
from pathlib import Path
from vtadapt.viz import panels
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.sizing.grid import Axis
from vtadapt.workflows.sizing.size import Sizing, units_of
loaded = load_run(find_run("demo", Path("runs")))
rgb = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), dtype=np.uint8)
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = Predictor(loaded, Sizing("native", "auto"))(rgb).maps
assert found["normals"].shape == (3, 1200, 1600)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_memory_of_a_large_photograph_is_bounded() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=True)
    # By tiles it takes 0.46 GB, the whole at once 0.98 GB.
    assert int(done.stdout) < 0.7e9
