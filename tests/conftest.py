"""What all tests share: the real sample sets, one thread, and no network."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import torch
import yaml

if TYPE_CHECKING:
    from vtadapt.workflows.run.settings import TrainSettings

hypothesis.settings.register_profile(  # a busy machine is slow, too
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")
ROOT = Path(__file__).resolve().parents[1]
LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname()}


class NetworkUsedError(AssertionError):
    """A test reached for the network; not an OSError, so that no library takes it for a bad connection and goes on."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real sample sets (camvid, sevenscenes, bsds500): VTADAPT_SHARED_DATA, or shared/data beside us."""
    folder = Path(os.environ.get("VTADAPT_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real sample sets are not at {folder}; set VTADAPT_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Tests run side by side on small machines, where a second thread each costs more than it brings; and sums are added
    # in another order on another number of threads, so that commands which tests start have one, too.
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VTADAPT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))  # not the user's
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # reaches commands that tests start, too
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded_connect(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


def _guarded_connect(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_local(address[0])
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        _require_local(host)
        return lookup(host, *args, **options)

    return guarded


def _require_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name not in LOCAL_HOSTS:
        raise NetworkUsedError(f"tests use no network, found a connection to {name}")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VTADAPT_") and name not in ("VTADAPT_SHARED_DATA", "VTADAPT_CACHE_DIR"):
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Tiny:
    """A rooms pack of 12 + 6 images, two packs that share its images' kind but no task, and a run of 2 epochs.

    Tests read it; a test that changes a run or a pack copies it first.
    """

    data_dir: Path
    run: Path
    settings: TrainSettings
    results: dict[str, Any]

    def other(self, run_dir: Path, **changes: Any) -> TrainSettings:
        """Settings of the same run with some changed, writing somewhere else."""
        return type(self.settings)(**{**self.settings.model_dump(), "run_dir": run_dir, **changes})


def tiny_recipe(folder: Path, name: str, first_seed: int) -> Path:
    """A user's own recipe: rooms, 48x48, 12 for training and 6 for validation."""
    recipe = yaml.safe_load((ROOT / "data_recipes" / "rooms.yaml").read_text(encoding="utf-8"))
    recipe |= {"name": name, "size": [48, 48]}
    recipe["options"] = {
        "samples": {"train": 12, "val": 6},
        "first_seed": {"train": first_seed, "val": first_seed + 100},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """What most tests of the workflows start from; made once."""
    # Imported here: most tests need none of it.
    from vtadapt.data.prepare.prepare import PrepareOptions
    from vtadapt.workflows.prepare.prepare_data import prepare_data
    from vtadapt.workflows.run.settings import TrainSettings
    from vtadapt.workflows.train.train import train

    folder = tmp_path_factory.mktemp("tiny")
    data_dir = folder / "data"
    for name, tasks, seed in (
        ("tiny", None, 0),
        ("look", ["semseg", "edges"], 200),
        ("shape", ["depth", "normals"], 400),
    ):
        recipe = tiny_recipe(folder, name, seed)
        prepare_data(str(recipe), None, data_dir, PrepareOptions(tasks=tasks), quiet=True)
    settings = TrainSettings(
        data="tiny",
        data_dir=data_dir,
        run_dir=folder / "runs",
        weights="random",
        epochs=2,
        batch_size=4,
        accelerator="cpu",
        precision="32-true",
        log_steps=1,
        checkpoint_steps=2,
    )
    results = train(settings, quiet=True)
    return Tiny(data_dir, Path(results["run"]), settings, results)


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process, as the console script does."""
    from vtadapt.cli import main

    def run(*arguments: Any) -> Ran:
        monkeypatch.setattr(sys, "argv", ["vtadapt", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Ran(code, *capfd.readouterr())

    return run
