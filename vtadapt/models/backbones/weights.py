"""Where an encoder's weights come from (a file, timm's own, the Hugging Face hub), and loading them.

Nothing is downloaded but for the words "timm" and "hf-hub:..." where a user has typed them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.publishers import WrongLayoutError, to_timm
from vtadapt.models.backbones.state_dict import load_fitting, read_state

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


def load_weights(net: nn.Module, path: Path) -> None:
    """Load a file of weights into a network of timm: in timm's own keys, or as the publisher wrote them.

    Raises:
        ConfigError: a file that is broken or holds more than tensors; weights that are missing, surplus or of another
            shape (the message names the first of them).
    """
    state = read_state(path)
    try:
        state = to_timm(state, net)
    except WrongLayoutError as error:
        raise ConfigError(
            f"weights {os.fspath(path)!r} do not fit the backbone: {error}; choose the --backbone that they are of"
        ) from error
    # Counters of batch norm, which older checkpoints lack and nothing here reads.
    load_fitting(net, state, path, optional=lambda key: key.endswith("num_batches_tracked"))
