"""The file of an encoder's weights: as it is named (a file, timm's own, the Hugging Face hub), and found again.

Nothing is downloaded but for the words "timm" and "hf-hub:..." where a user has typed them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.weights import store

AUTO, RANDOM, TIMM, HUB = "auto", "random", "timm", "hf-hub:"
ACCEPTED = "--weights FILE, --weights timm (downloads), --weights hf-hub:ORG/NAME (downloads) or --weights random"

NAMES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
"""Files of weights that a repository of the hub may have, the first of them is taken."""


def is_file(weights: str) -> bool:
    """True where ``weights`` names a file of the user's."""
    return weights not in (AUTO, RANDOM, TIMM) and not weights.startswith(HUB)


def locate(name: str, weights: str, *, download: bool = True) -> Path | None:
    """The file that ``weights`` means for the backbone ``name`` of timm; None for random weights.

    Args:
        name: of the backbone, with the tag of its weights or without.
        weights: "random", "timm", "hf-hub:ORG/NAME" (a revision after an "@") or a file.
        download: False: what was downloaded before is found, nothing is asked of the network.

    Raises:
        ConfigError: there is no such file, or it could not be downloaded.
    """
    if weights == RANDOM:
        return None
    if weights == AUTO:
        raise ConfigError(f"no weights for backbone {name!r}, which is not bundled; add {ACCEPTED}")
    if weights == TIMM:
        return _of_timm(name, download)
    if weights.startswith(HUB):
        repository, _, revision = weights.removeprefix(HUB).partition("@")
        return _of_hub(repository, NAMES, revision or None, download)
    path = Path(weights).expanduser()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ConfigError(
            f"no weights at {os.fspath(path)!r} (found {found}) for backbone {name!r}; wanted a safetensors or .pth "
            f"file: {ACCEPTED}"
        )
    return path


def _of_timm(name: str, download: bool) -> Path:
    import timm  # here, since it takes seconds and bundled encoders do without

    try:
        cfg: Any = timm.get_pretrained_cfg(name)
    except RuntimeError:  # of another tag than it has
        cfg = None
    if cfg is None or not cfg.hf_hub_id:
        tags = list(timm.list_pretrained(f"{name.split('.')[0]}.*"))
        known = f"those it has are {', '.join(tags)}" if tags else "it has none of this network"
        raise ConfigError(f"timm has no weights for {name!r}; {known}; use --weights FILE")
    repository, _, revision = str(cfg.hf_hub_id).partition("@")
    names = (str(cfg.hf_hub_filename),) if cfg.hf_hub_filename else NAMES
    return _of_hub(repository, names, revision or None, download)


def _of_hub(repository: str, names: Sequence[str], revision: str | None, download: bool) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise ConfigError(
            "weights of the Hugging Face hub need huggingface_hub; install vtadapt[hub], or use --weights FILE"
        ) from error
    for file in names:
        try:
            return Path(hf_hub_download(repository, file, revision=revision, local_files_only=not download))
        except LocalEntryNotFoundError as error:  # it is not here, and the network cannot be asked, or was not to be
            if download:
                raise _unreachable(repository, error) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # its transport has many kinds; for the user they all mean the same
            raise _unreachable(repository, error) from error
    found = f"has none of {', '.join(names)}" if download else "has not been downloaded to this machine"
    raise ConfigError(f"{HUB}{repository} {found}; use --weights FILE")


def _unreachable(repository: str, error: Exception) -> ConfigError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ConfigError(f"could not get {HUB}{repository} ({reason}); connect to the network, or use --weights FILE")


def about_backbone(name: str, weights: str, digest: str) -> dict[str, Any]:
    """What a run keeps of its backbone in ``config.json``; the store remembers where the file is.

    Args:
        name: of the backbone.
        weights: as typed.
        digest: of the weights as loaded, SHA-256 over their names and values.

    Returns:
        {"name", "weights" (as typed), "sha256"}, and for weights of a file "file": {"path", "bytes", "mtime_ns",
        "sha256" (of the file)}.
    """
    entry = {"name": name, "weights": weights, "sha256": digest}
    if weights in (AUTO, RANDOM):
        return entry
    path = locate(name, weights, download=False)
    assert path is not None  # only random weights have none
    return {**entry, "file": asdict(store.remember(path, digest, name))}


def find_backbone(run: Path, known: Mapping[str, Any], weights: str, given: str | None, *, kept: bool) -> str:
    """What a run's backbone is loaded from: "auto", "random" or the path of a file.

    Args:
        run: its folder, for messages.
        known: what :func:`about_backbone` wrote.
        weights: as the run's settings have them.
        given: what the user says it is; a download if it says so. Without it nothing is downloaded: the file is where
            the run left it, or where it was last seen.
        kept: whether training changes the whole backbone, so that the run itself keeps it.

    Raises:
        ConfigError: it is in none of these places; the message says its digest and what to type.
    """
    name = str(known["name"])
    if given is not None:
        path = locate(name, given) if given != AUTO else None
        return given if path is None else str(path)
    if weights in (AUTO, RANDOM):
        return weights
    found = next(_places(known, weights), None)
    if found is not None:
        return str(found)
    if kept:
        return RANDOM  # every weight is replaced by the run's own
    raise ConfigError(f"the backbone of run {run.name!r} is not there any more: {_wanted(known)}")


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


def need_digest(run: Path, known: Mapping[str, Any], weights: str, digest: str) -> None:
    """See that a backbone is the one that the run was trained with.

    Args:
        run: its folder, for messages.
        known: what :func:`about_backbone` wrote.
        weights: what it was loaded from, as :func:`find_backbone` found it.
        digest: of the weights as loaded.

    Raises:
        ConfigError: it is another.
    """
    wanted = str(known["sha256"])
    if digest != wanted:
        drawn = weights in (AUTO, RANDOM) and known["weights"] == weights
        raise ConfigError(
            f"backbone {known['name']!r} ({weights}) is not the one that run {run.name!r} was trained "
            f"with: found sha256 {digest[:12]}..., "
            + (f"wanted {wanted[:12]}...; train it again" if drawn else _wanted(known))
        )


def _places(known: Mapping[str, Any], weights: str) -> Iterator[Path]:
    """Where the file may be: where it was last seen, where the run left it, what a download left."""
    if (seen := store.find(str(known["sha256"]))) is not None:
        yield seen
    file = known.get("file")
    if file is not None:
        if store.Place(**file).holds():
            yield Path(file["path"])
    elif is_file(weights) and Path(weights).is_file():  # runs of before files were kept
        yield Path(weights)
    if not is_file(weights):
        with contextlib.suppress(ConfigError):
            path = locate(str(known["name"]), weights, download=False)
            if path is not None:
                yield path


def _wanted(known: Mapping[str, Any]) -> str:
    file = known.get("file")
    of_file = "" if file is None else f", a file of {file['bytes']} bytes with sha256 {file['sha256']}"
    last = known["weights"] if file is None else file["path"]
    again = "" if is_file(str(known["weights"])) else f" or --weights {known['weights']} (downloads)"
    return (
        f"wanted {known['name']} with sha256 {str(known['sha256'])[:12]}...{of_file}, last seen as {last!r}; "
        f"add --weights FILE{again}"
    )
