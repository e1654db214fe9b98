"""What the bundled run does not need is not imported: it took longer than all of a prediction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vtadapt.commands.options import let_waiting_threads_sleep

ROOT = Path(__file__).resolve().parents[3]
UNNEEDED = (
    *("timm", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "huggingface_hub"),
    *("lightning_fabric", "tensorboard", "matplotlib", "scipy", "skimage", "trimesh", "h5py", "jinja2", "pooch"),
    *("vtadapt.data.recipe.recipe", "vtadapt.data.training", "vtadapt.synthetic", "vtadapt.workflows.train"),
)
COMMAND = "import sys; from vtadapt.cli import main\nsys.argv = ['vtadapt', *{0!r}]\nmain()"
WAYS = {
    "predict": COMMAND.format(["predict", "photo.png", "--run", "demo", "--raw", "--json"]),
    "visualize-attention": COMMAND.format(["visualize-attention", "photo.png", "--run", "demo"]),
    "python": "import vtadapt; vtadapt.load('demo').predict('photo.png')",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_predicting_with_the_bundled_run_imports_only_what_it_needs(tmp_path: Path, way: str) -> None:
    Image.new("RGB", (40, 30), (90, 120, 30)).save(tmp_path / "photo.png")
    work = "\n    ".join(WAYS[way].split("\n"))
    code = f"import sys\ntry:\n    {work}\nexcept SystemExit as end:\n    assert not end.code\n"
    code += f"print('found', *sorted(set({UNNEEDED!r}) & set(sys.modules)))"
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["found"]), done.stderr


def test_waiting_threads_sleep_unless_the_user_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    let_waiting_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    del os.environ["OMP_WAIT_POLICY"]
    let_waiting_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
