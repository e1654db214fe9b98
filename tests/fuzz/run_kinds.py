"""Runs: their settings, configuration, weights and states; and files of weights of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
import yaml
from safetensors.torch import save_file

from tests.fuzz.data_kinds import changed_text
from tests.fuzz.mutate import damaged
from vtadapt.errors import VtadaptError
from vtadapt.models.backbones.weights import state_dict
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import TrainSettings, load, parse_assignments, resolve
from vtadapt.workflows.train.starting_run import open_start

DEMO = Path(files.__file__).parents[2] / "assets" / "demo"


class Run(NamedTuple):
    """The folder of a whole run with a state, and its model's bytes."""

    folder: Path


def make_settings(folder: Path) -> list[Any]:
    """Settings as people write them, and whole ones."""
    del folder
    whole = yaml.safe_load(TrainSettings(data="rooms").to_yaml())
    few = {"data": "rooms", "tasks": ["depth", "semseg"], "size": "64x96", "scale": [1.0, 1.3], "lr": 1e-3}
    return [whole, {key: value for key, value in whole.items() if value is not None}, few]


def write_settings(random: Random, seeds: list[Any], folder: Path) -> None:
    """A changed file of settings."""
    tree = random.choice(seeds)
    text = yaml.safe_dump(tree, sort_keys=False).encode()
    (folder / "settings.yaml").write_bytes(changed_text(random, tree, text, "yaml"))


def read_settings(folder: Path) -> None:
    """As the settings of a command, of a run, and as what is typed."""
    path = folder / "settings.yaml"
    _all(
        lambda: resolve({"data": "rooms"}, path, {}).to_yaml(),
        lambda: load(path).changes(),
        lambda: resolve({"data": "rooms"}, None, {}, parse_assignments(_typed(path))),
    )


def _typed(path: Path) -> list[str]:
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    return [line.replace(":", "=", 1) for line in lines if ":" in line and "\0" not in line]


def make_run(folder: Path) -> Run:
    """The run that comes with vtadapt, with a state of one step beside it."""
    shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("README.md"))
    weights, _ = checkpoint.read_tensors(folder / "demo" / files.MODEL)
    few = dict(list(weights.items())[:6])
    moments = {i: {"exp_avg": torch.zeros(3), "exp_avg_sq": torch.ones(3), "step": torch.tensor(1.0)} for i in range(2)}
    optimiser = {"state": moments}
    about = {"step": 3, "epoch": 1, "best": 0.5, "sampler": {"seed": 0}}
    checkpoint.save_state(folder / files.STATE, few, optimiser, {"A": torch.eye(4)}, about)
    save_file(few, folder / "small.safetensors", metadata={"about": json.dumps(about)})
    return Run(folder)


def write_config(random: Random, run: Run, folder: Path) -> None:
    """The run with one of its texts changed."""
    shutil.copytree(run.folder / "demo", folder / "demo")
    name = random.choice((files.CONFIG, files.CONFIG, files.SETTINGS, files.METRICS, files.RESULTS, files.AFFINITY))
    path = folder / "demo" / name
    data = path.read_bytes()
    if name == files.METRICS:
        path.write_bytes(damaged(random, data))
    else:
        kind = "yaml" if name == files.SETTINGS else "json"
        path.write_bytes(changed_text(random, yaml.safe_load(data) if kind == "yaml" else json.loads(data), data, kind))


def read_run(folder: Path) -> None:
    """As predict, report and affinity read it."""
    path = folder / "demo"
    _all(
        lambda: find_run(str(path), folder),
        lambda: open_start(path),
        lambda: report(path, folder / "report.html", ReportOptions(images=0), folder=folder, quiet=True),
        lambda: load_run(path),
    )


def write_state(random: Random, run: Run, folder: Path) -> None:
    """A damaged state, or damaged weights of a run: its tensors are few, so that its header is hit."""
    name = random.choice((files.STATE, "small.safetensors"))
    (folder / name).write_bytes(damaged(random, (run.folder / name).read_bytes()))


def read_state(folder: Path) -> None:
    """As resuming reads it."""
    [path] = folder.iterdir()
    _all(lambda: checkpoint.load_state(path), lambda: checkpoint.read_tensors(path))


def make_weights(folder: Path) -> list[Path]:
    """Weights of a backbone as safetensors and as .pth, of today's form and of the one before."""
    tensors = {f"layers.{i}.weight": torch.rand(3, 4) for i in range(4)} | {"head.bias": torch.zeros(5)}
    save_file(tensors, folder / "a.safetensors")
    torch.save(tensors, folder / "b.pth")
    torch.save({"model": tensors, "epoch": 3}, folder / "c.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": tensors, "args": {"lr": 1}}, folder / "d.pt")
    return sorted(folder.iterdir())


def write_weights(random: Random, seeds: list[Path], folder: Path) -> None:
    """A damaged file of weights, now and then under another suffix."""
    seed = random.choice(seeds)
    name = random.choice(seeds).name if random.random() < 0.1 else seed.name
    (folder / name).write_bytes(damaged(random, seed.read_bytes(), [random.choice(seeds).read_bytes()]))


def read_weights(folder: Path) -> None:
    """As the weights of any backbone."""
    [path] = folder.iterdir()
    state_dict.read_state(path)


def _all(*looks: Any) -> None:
    from tests.fuzz.file_kinds import check

    refusal: VtadaptError | None = None
    for look in looks:
        try:
            look()
        except VtadaptError as error:
            check(error)
            refusal = refusal or error
    if refusal is not None:
        raise refusal
