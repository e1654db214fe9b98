"""Run folders: made, found by what was typed, and the demo run that is bundled."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vtadapt.atomic import disk_error
from vtadapt.errors import ConfigError, near_matches
from vtadapt.lock import Refusal, folder_lock, refuse_held
from vtadapt.workflows.run.cached import cached_run, is_repository, repository_of
from vtadapt.workflows.run.files import CONFIG, MODEL, SETTINGS
from vtadapt.workflows.terminal.interrupt import going_on
from vtadapt.workflows.terminal.text import say

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

DEMO = "demo"

LOCK = ".lock"


def new_run(folder: Path, name: str) -> Path:
    """Create ``folder/NAME-0001`` (the next free number)."""
    with disk_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(m[1]) for p in folder.iterdir() if (m := re.fullmatch(re.escape(name) + r"-(\d{4,})", p.name))]
    number = max(numbers, default=0) + 1
    while True:
        path = folder / f"{name}-{number:04d}"
        with disk_error(path):
            try:
                path.mkdir()
            except FileExistsError:  # another process took it in the meantime
                number += 1
                continue
        return path


@contextlib.contextmanager
def alone_in(run: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained.

    Raises:
        ConfigError: another process trains it.
    """
    with folder_lock(run / LOCK, _training(run), say):
        yield


def refuse_trained(run: Path) -> None:
    """Refuse, before anything long, a run that another process trains.

    Raises:
        ConfigError: one does.
    """
    refuse_held(run / LOCK, _training(run))


def _training(run: Path) -> Refusal:
    return lambda who: ConfigError(
        f"another process is training {os.fspath(run)!r} ({who}); wait for it, or end it and resume then"
    )


@contextlib.contextmanager
def alone(folder: Path, what: str, again: str = "the same command again: what is finished is kept") -> Iterator[None]:
    """Make and hold the folder: of two comparisons (or ``what`` it is) at once in one folder the second is refused.

    ``again``: how to go on with one that is interrupted. A folder that was made for what failed is removed.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with disk_error(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def busy(who: str) -> ConfigError:
        return ConfigError(f"another {what} is running in {folder}; wait for it, or name another --out ({who})")

    try:
        with folder_lock(folder / LOCK, busy, say), going_on(again):
            yield
    except BaseException:
        if missing and {path.name for path in folder.iterdir()} == {LOCK}:
            (folder / LOCK).unlink()
            with contextlib.suppress(OSError):
                for path in missing:
                    path.rmdir()
        raise


@contextlib.contextmanager
def open_run(fabric: Fabric, resume: Path | None, folder: Path, name: str) -> Iterator[Path]:
    """The folder of a run that is trained, held while it is: ``resume``, or a new one in ``folder`` (see `new_run`).

    The first process of the run makes and holds it for all.

    Raises:
        ConfigError: another process trains it.
    """
    path = new_run(folder, name) if resume is None and fabric.is_global_zero else resume
    path = Path(fabric.broadcast(str(path)))
    with alone_in(path) if fabric.is_global_zero else contextlib.nullcontext():
        yield path


def bundled_run() -> Path:
    """The demo run that comes with the package: adapters trained on ``rooms``, see ``assets/demo/README.md``."""
    return Path(str(resources.files("vtadapt").joinpath("assets", DEMO)))


def is_bundled(run: Path) -> bool:
    """Whether that folder is the demo run that comes with the package."""
    return run.resolve() == bundled_run().resolve()


def output_folder(run: Path, folder: Path = Path("runs")) -> Path:
    """Where commands write what they make of a run: its own folder, but one in ``folder`` for the bundled run.

    And for runs in the Hub's cache.
    """
    if (repository := repository_of(run)) is not None:  # the Hub's cache is no place to write to
        return folder / repository.replace("/", "--")
    return folder / f"bundled-{DEMO}" if is_bundled(run) else run


def find_run(run: str | None, folder: Path) -> Path:
    """The run meant by what was typed: a path, a name inside ``folder``, or None for the newest finished one.

    Where there is none yet, and for the name "demo" where no run is called so, it is the bundled demo run. A name
    OWNER/NAME that is no path is a run of the Hub that was downloaded.

    Raises:
        ConfigError: no such run; says what there is.
    """
    runs = _runs(folder)
    if run is None:
        if not runs:
            say(f"no run yet in {os.fspath(folder)!r}: using the bundled demo run, adapters trained on synthetic rooms")
            return bundled_run()
        newest = max(runs, key=lambda p: (p / MODEL).stat().st_mtime_ns)
        say(f"using the newest run, {newest}")
        return newest
    places = (Path(run), folder / run)
    there = [path for path in places if (path / CONFIG).is_file()]
    if there:
        if len(there) > 1 and not there[0].samefile(there[1]):
            say(f"note: of two runs called {run!r} that in {os.fspath(Path(run).absolute().parent)!r} is taken")
        return there[0]
    if run == DEMO:  # also where the command of that name has left a folder of its runs
        return bundled_run()
    if is_repository(run):
        if (downloaded := cached_run(run)) is not None:
            return downloaded
        if not any(path.exists() for path in places) and not Path(run).parent.is_dir():
            raise ConfigError(
                f"no run {run!r} here, and none of that name was downloaded; vtadapt pull {run} downloads it"
            )
    for path in places:
        if path.is_dir():
            raise ConfigError(f"{os.fspath(path)!r} holds no finished run (no {CONFIG}); resume it or train again")
    close = near_matches(run, [p.name for p in runs])
    raise ConfigError(f"no run {run!r} here or in {os.fspath(folder)!r}.{close or ' List them with: vtadapt runs'}")


def find_unfinished(run: str, folder: Path) -> Path:
    """The run to resume: a path, or a name inside ``folder``.

    Raises:
        ConfigError: no such run.
    """
    for path in (Path(run), folder / run):
        if (path / SETTINGS).is_file():
            return path
    names = [p.parent.name for p in folder.glob(f"*/{SETTINGS}")]
    found = near_matches(run, names) or (f" There: {', '.join(sorted(names))}" if names else "")
    raise ConfigError(f"no run to resume at {run!r} or in {os.fspath(folder)!r} (wanted its {SETTINGS}).{found}")


def _runs(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if (p / CONFIG).is_file() and (p / MODEL).is_file()] if folder.is_dir() else []
