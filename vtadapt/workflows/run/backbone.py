"""The backbone of a run: what is kept of the file of its weights, and how that file is found again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vtadapt.errors import ConfigError
from vtadapt.models.backbones import store
from vtadapt.models.backbones.weights import AUTO, RANDOM, is_file, locate
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings


def about_backbone(settings: TrainSettings, digest: str) -> dict[str, Any]:
    """The entry ``backbone`` of ``config.json``; the store remembers where the file is.

    Args:
        settings: of the run.
        digest: of the weights as loaded, SHA-256 over their names and values.

    Returns:
        {"name", "weights" (as typed), "sha256"}, and for weights of a file "file": {"path", "bytes", "mtime_ns",
        "sha256" (of the file)}.
    """
    entry = {"name": settings.encoder, "weights": settings.weights, "sha256": digest}
    if settings.weights in (AUTO, RANDOM):
        return entry
    path = locate(settings.encoder, settings.weights, download=False)
    assert path is not None  # only random weights have none
    return {**entry, "file": asdict(store.remember(path, digest, settings.encoder))}


def find_backbone(run: Path, known: Mapping[str, Any], settings: TrainSettings, given: str | None = None) -> str:
    """What a run's backbone is loaded from: "auto", "random" or the path of a file.

    Args:
        run: its folder, for messages.
        known: what :func:`about_backbone` wrote.
        settings: of the run.
        given: what the user says it is; a download if it says so. Without it nothing is downloaded: the file is where
            the run left it, or where it was last seen.

    Raises:
        ConfigError: it is in none of these places; the message says its digest and what to type.
    """
    if given is not None:
        path = locate(settings.encoder, given) if given != AUTO else None
        return given if path is None else str(path)
    if settings.weights in (AUTO, RANDOM):
        return settings.weights
    found = next(_places(known, settings), None)
    if found is not None:
        return str(found)
    if keeps_backbone(settings):
        return RANDOM  # every weight is replaced by the run's own
    raise ConfigError(f"the backbone of run {run.name!r} is not there any more: {_wanted(known, settings)}")


def recognise(known: Mapping[str, Any], weights: str) -> bool:
    """Whether the file ``weights`` is the one a run was trained with, wherever it lies now; if so that is remembered.

    Args:
        known: what :func:`about_backbone` wrote.
        weights: as typed.
    """
    file = known.get("file")
    if file is None or not is_file(weights):
        return False
    try:
        found = store.look(Path(weights))
    except OSError:
        return False
    if (found.bytes, found.sha256) != (file["bytes"], file["sha256"]):
        return False
    store.remember(Path(weights), str(known["sha256"]), str(known["name"]))
    return True


def keeps_backbone(settings: TrainSettings) -> bool:
    """True where training changes the whole backbone, so that the run itself keeps it."""
    return METHODS[settings.method].trains_backbone or settings.train_blocks == "all"


def check_digest(run: Path, known: Mapping[str, Any], settings: TrainSettings, digest: str) -> None:
    """See that a backbone is the one that the run was trained with, and remember where it is.

    Args:
        run: its folder, for messages.
        known: what :func:`about_backbone` wrote.
        settings: of the run, ``weights`` as :func:`find_backbone` found them.
        digest: of the weights as loaded.

    Raises:
        ConfigError: it is another.
    """
    wanted = str(known["sha256"])
    if digest == wanted:
        if settings.weights not in (AUTO, RANDOM):
            store.remember(Path(settings.weights), digest, settings.encoder)
    elif not keeps_backbone(settings):
        drawn = settings.weights in (AUTO, RANDOM) and known["weights"] == settings.weights
        raise ConfigError(
            f"backbone {settings.encoder!r} ({settings.weights}) is not the one that run {run.name!r} was trained "
            f"with: found sha256 {digest[:12]}..., "
            + (f"wanted {wanted[:12]}...; train it again" if drawn else _wanted(known, settings))
        )


def _places(known: Mapping[str, Any], settings: TrainSettings) -> Iterator[Path]:
    """Where the file may be: where it was last seen, where the run left it, what a download left."""
    if (seen := store.find(str(known["sha256"]))) is not None:
        yield seen
    file = known.get("file")
    if file is not None:
        if store.Place(**file).holds():
            yield Path(file["path"])
    elif is_file(settings.weights) and Path(settings.weights).is_file():  # runs of before files were kept
        yield Path(settings.weights)
    if not is_file(settings.weights):
        with contextlib.suppress(ConfigError):
            path = locate(settings.encoder, settings.weights, download=False)
            if path is not None:
                yield path


def _wanted(known: Mapping[str, Any], settings: TrainSettings) -> str:
    file = known.get("file")
    of_file = "" if file is None else f", a file of {file['bytes']} bytes with sha256 {file['sha256']}"
    last = known["weights"] if file is None else file["path"]
    again = "" if is_file(str(known["weights"])) else f" or --weights {known['weights']} (downloads)"
    return (
        f"wanted {settings.encoder} with sha256 {str(known['sha256'])[:12]}...{of_file}, last seen as {last!r}; "
        f"add --weights FILE{again}"
    )
