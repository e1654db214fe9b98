"""Run folders and checkpoints: made, found, written atomically, read without running code."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vtadapt.data.atomic import disk_error, replace_file, sync, temporary_name
from vtadapt.errors import ConfigError, near_matches

SETTINGS, CONFIG, MODEL, METRICS, RESULTS = (
    "settings.yaml",
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "results.json",
)
STATE = "state.safetensors"
AFFINITY = "affinity.json"
DEMO = "demo"


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


def bundled_run() -> Path:
    """The demo run that comes with the package: adapters trained on ``rooms``, see ``assets/demo/README.md``."""
    return Path(str(resources.files("vtadapt").joinpath("assets", DEMO)))


def is_bundled(run: Path) -> bool:
    """Whether that folder is the demo run that comes with the package."""
    return run.resolve() == bundled_run().resolve()


def output_folder(run: Path, folder: Path = Path("runs")) -> Path:
    """Where commands write what they make of a run: its own folder, but ``folder``/bundled-demo for the bundled run."""
    return folder / f"bundled-{DEMO}" if is_bundled(run) else run


def find_run(run: str | None, folder: Path) -> Path:
    """The run meant by what was typed: a path, a name inside ``folder``, or None for the newest finished one.

    Where there is none yet, and for the name "demo" where no run is called so, it is the bundled demo run.

    Raises:
        ConfigError: no such run; says what there is.
    """
    runs = _runs(folder)
    if run is None:
        if not runs:
            print(
                f"no run yet in {os.fspath(folder)!r}: using the bundled demo run, adapters trained on synthetic rooms",
                file=sys.stderr,
            )
            return bundled_run()
        newest = max(runs, key=lambda p: (p / MODEL).stat().st_mtime_ns)
        print(f"using the newest run, {newest}", file=sys.stderr)
        return newest
    places = (Path(run), folder / run)
    for path in places:
        if (path / CONFIG).is_file():
            return path
    for path in places:
        if path.is_dir():
            raise ConfigError(f"{os.fspath(path)!r} holds no finished run (no {CONFIG}); resume it or train again")
    if run == DEMO:
        return bundled_run()
    close = near_matches(run, [p.name for p in runs])
    raise ConfigError(
        f"no run {run!r} here or in {os.fspath(folder)!r}.{close or ' List them with: ls ' + str(folder)}"
    )


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


def _drop(temporary: Path) -> None:
    """Remove what an interrupted write left; its own error, such as a parent that is a file, has been told already."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            replace_file(temporary, path)
    finally:
        _drop(temporary)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: missing or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error}; wanted the JSON file of a run") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{os.fspath(path)!r} holds a {type(content).__name__}; wanted a JSON object")
    return content


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line to ``metrics.jsonl``."""
    with disk_error(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def cut_lines(path: Path, step: int) -> None:
    """Drop the records of ``metrics.jsonl`` after ``step``, and a last line that a killed run left half-written."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] > step:
                continue
        except (ValueError, KeyError, TypeError):
            continue
        kept.append(line + "\n")
    write_text(path, "".join(kept))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> Path:
    """Write a compressed .npz atomically."""
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)
            replace_file(temporary, path)
    finally:
        _drop(temporary)
    return path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file atomically; ``about`` is kept in its header as JSON."""
    temporary = temporary_name(path)
    data = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    try:
        with disk_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                save_file(data, temporary, metadata={"about": json.dumps(dict(about or {}))})
            except SafetensorError as error:  # its writer reports a full disk under its own type
                raise OSError(str(error)) from error
            replace_file(temporary, path)
            sync(path.parent)
    finally:
        _drop(temporary)


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
            about = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
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
            optimiser.setdefault(int(index), {})[name] = value
    return State(parts["model"], optimiser, parts["troa"], about, parts["method"])
