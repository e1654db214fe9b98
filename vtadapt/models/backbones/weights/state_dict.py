"""Reading files of weights without running code from them, and what all encoders do with weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.weights.publishers import WrongLayoutError, to_timm, unwrap

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a safetensors or .pth file into a flat state dict, without running code from it.

    Raises:
        ConfigError: the file is missing, broken, or holds more than tensors.
    """
    if not path.is_file():
        raise ConfigError(f"no weights at {os.fspath(path)!r}; wanted a safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds; for the user they all mean the same
        # torch's own text advises to allow code; ours does not.
        raise ConfigError(
            f"cannot read weights {os.fspath(path)!r} ({type(error).__name__}): broken, or more than tensors in it; "
            "wanted a whole safetensors file or a .pth of a state dict"
        ) from error
    flat = unwrap(state)
    if flat is None:
        raise ConfigError(
            f"{os.fspath(path)!r} is not a state dict of tensors; wanted the weights of this backbone, by timm or as "
            "published"
        )
    return flat


def digest_of(net: nn.Module) -> str:
    """SHA-256 over the names and values of the weights."""
    sha = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        sha.update(key.encode())
        sha.update(value.detach().cpu().contiguous().float().numpy().tobytes())
    return sha.hexdigest()


def load_fitting(net: nn.Module, state: Mapping[str, Tensor], path: Path, optional: Callable[[str], bool]) -> None:
    """Load ``state``, read from ``path``, into ``net``; keys for which ``optional`` is true may be missing.

    Raises:
        ConfigError: weights are missing, unknown, or have other shapes; the message names the first of them.
    """
    own = net.state_dict()
    missing = [k for k in own if k not in state and not optional(k)]
    shapes = [k for k, v in state.items() if k in own and own[k].shape != v.shape]
    unknown = [k for k in state if k not in own]
    if missing or shapes or unknown:
        key = (shapes or missing or unknown)[0]
        found = f"shape {tuple(state[key].shape)}" if key in state else "nothing"
        wanted = f"shape {tuple(own[key].shape)}" if key in own else "nothing"
        raise ConfigError(
            f"weights {os.fspath(path)!r} do not fit the backbone: {key}: found {found}, wanted {wanted}; "
            "choose the --backbone that these weights were saved from"
        )
    net.load_state_dict(dict(state), strict=False)


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
