"""Checkpoints: tensors and what is told of them in one file, written atomically, read without running code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vtadapt.atomic import whole_file
from vtadapt.errors import ConfigError, clipped, quoted
from vtadapt.strict_json import parse_json


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file atomically; ``about`` is kept in its header as JSON."""
    data = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with whole_file(path) as temporary:
        try:
            save_file(data, temporary, metadata={"about": json.dumps(dict(about or {}))})
        except SafetensorError as error:  # its writer reports a full disk under its own type
            raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`write_tensors`.

    Raises:
        ConfigError: missing or broken.
    """
    if not path.is_file():
        raise ConfigError(f"no checkpoint at {os.fspath(path)!r}; wanted a {path.name} written by vtadapt train")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            about = parse_json((file.metadata() or {}).get("about", "{}"))
            if not isinstance(about, dict):
                raise ValueError(f"what it says of itself is {quoted(about)}")
    # Of types that its writer never makes the reader raises others.
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = clipped(" ".join(str(error).split()), 200)
        raise ConfigError(f"broken checkpoint {os.fspath(path)!r} ({reason}); use another, or train again") from error
    return tensors, about


def load_into(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load saved weights; what is not saved must be the frozen backbone.

    Raises:
        ConfigError: the checkpoint belongs to another architecture; names the first key that does not fit.
    """
    own = model.state_dict()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    wanted = set(own) - frozen
    unknown, missing = sorted(set(tensors) - set(own)), sorted(wanted - set(tensors))
    shapes = sorted(k for k in set(own) & set(tensors) if own[k].shape != tensors[k].shape)
    if unknown or missing or shapes:
        key = (shapes or missing or unknown)[0]
        found = tuple(tensors[key].shape) if key in tensors else "nothing"
        want = tuple(own[key].shape) if key in own else "nothing"
        raise ConfigError(
            f"checkpoint {os.fspath(where)!r} is of another architecture: {key} found {found}, wanted {want}; "
            "use the settings it was trained with"
        )
    model.load_state_dict(dict(tensors), strict=False)


class State(NamedTuple):
    """What :func:`load_state` reads: the optimiser's state is by parameter index."""

    model: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]
    troa: dict[str, Tensor]
    about: dict[str, Any]
    method: dict[str, Tensor]


def save_state(
    path: Path,
    model: Mapping[str, Tensor],
    optimiser: Mapping[str, Any],
    troa: Mapping[str, Tensor],
    about: Mapping[str, Any],
    method: Mapping[str, Tensor] | None = None,
) -> None:
    """Write all that resuming needs into one file, so that it is either the old state or the new one."""
    tensors = {f"model.{k}": v for k, v in model.items()} | {f"troa.{k}": v for k, v in troa.items()}
    tensors |= {f"method.{k}": v for k, v in (method or {}).items()}
    for index, state in optimiser["state"].items():
        tensors.update({f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()})
    write_tensors(path, tensors, about)


def load_state(path: Path) -> State:
    """Read a file of :func:`save_state`."""
    tensors, about = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "troa": {}, "method": {}}
    optimiser: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        if part in parts:
            parts[part][name] = value
        else:
            index, _, name = name.partition(".")
            if part != "optimiser" or not index.isdecimal():
                raise ConfigError(f"{os.fspath(path)!r} holds {quoted(key)}, which is no part of a state of training")
            optimiser.setdefault(int(index), {})[name] = value
    return State(parts["model"], optimiser, parts["troa"], about, parts["method"])
