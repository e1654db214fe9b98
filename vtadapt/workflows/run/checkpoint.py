"""Checkpoints: tensors and what is told of them in one file, written atomically, read without running code."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vtadapt.atomic import whole_file
from vtadapt.checked import LINE_KEY, DamagedError, line_of
from vtadapt.errors import ConfigError, clipped, quoted
from vtadapt.strict_json import parse_checked_line

ABOUT = "about"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file atomically; ``about`` is kept in its header as JSON, beside a checksum of it all."""
    data = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    told = line_of(dict(about or {}), _checksum(data))
    with whole_file(path) as temporary:
        try:
            save_file(data, temporary, metadata={ABOUT: told})
        except SafetensorError as error:  # its writer reports a full disk under its own type
            raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`write_tensors`.

    Files from before checksums, and from elsewhere, have none, and are taken as they are.

    Raises:
        ConfigError: missing, broken, or damaged: a byte is not as it was written.
    """
    if not path.is_file():
        raise ConfigError(f"no checkpoint at {os.fspath(path)!r}; wanted a {path.name} written by vtadapt train")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            about = _about(file.metadata() or {}, tensors)
    # Of types that its writer never makes the reader raises others.
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = clipped(" ".join(str(error).split()), 200)
        raise ConfigError(f"broken checkpoint {os.fspath(path)!r} ({reason}); use another, or train again") from error
    return tensors, about


def _about(told: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a file tells of itself, where all of it is as it was written; else a ValueError."""
    # The name of the entry may be what is damaged: without it the file would have no checksum.
    if ABOUT not in told and any(LINE_KEY in text for text in told.values()):
        raise DamagedError("damaged: a name in its header is another")
    about = parse_checked_line(told.get(ABOUT, "{}").encode(), _checksum(tensors))
    if not isinstance(about, dict):
        raise DamagedError(f"what it says of itself is {quoted(about)}")
    return about


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of names, types, shapes and bytes."""
    found = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return found


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


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Inside, what does not fit of a state that was read from ``path`` is a ConfigError."""
    try:
        yield
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, RuntimeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ConfigError(f"{os.fspath(path)!r} does not fit this run ({reason}); train again") from error


def load_state(path: Path) -> State:
    """Read a file of :func:`save_state`; errors as :func:`read_tensors`."""
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


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]], where: Path) -> None:
    """Load an optimiser's state, by parameter index.

    Raises:
        ConfigError: it is of another architecture.
    """
    full = optimiser.state_dict()
    # It goes by numbers, so that of another architecture would load in silence, onto other weights.
    if set(state) - set(range(sum(len(group["params"]) for group in full["param_groups"]))):
        raise ConfigError(f"{where} has an optimiser of another architecture; train again")
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for index, kept in state.items():
        if any(value.dim() and value.shape != parameters[index].shape for value in kept.values()):
            raise ConfigError(f"{where} has an optimiser of another architecture; train again")
    full["state"] = dict(state)
    optimiser.load_state_dict(full)
