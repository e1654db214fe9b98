"""Reading files of weights without running code from them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from vtadapt.errors import ConfigError


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a safetensors or .pth file into a flat state dict, without running code from it.

    Raises:
        ConfigError: the file is missing, broken, or holds more than tensors.
    """
    if not path.is_file():
        raise ConfigError(f"no weights at {os.fspath(path)!r}; wanted a safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds; for the user they all mean the same
        # torch's own text advises to allow code; ours does not.
        raise ConfigError(
            f"cannot read weights {os.fspath(path)!r} ({type(error).__name__}): broken, or more than tensors in it; "
            "wanted a whole safetensors file or a .pth of a state dict"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(
            f"{os.fspath(path)!r} is not a state dict of tensors; wanted a timm checkpoint of this backbone"
        )
    return {key.removeprefix("module."): value for key, value in state.items()}
