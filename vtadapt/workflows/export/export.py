"""``vtadapt export``: a run as one file that other programs run, checked against the run itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vtadapt.atomic import need_writable, whole_file
from vtadapt.digits import amount
from vtadapt.errors import UsageError, VtadaptError, near_matches
from vtadapt.tasks import Task
from vtadapt.version import __version__
from vtadapt.workflows.export.formats import FORMATS, Run, fresh, need_packages
from vtadapt.workflows.export.network import PictureToUnits
from vtadapt.workflows.run.folder import output_folder
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.sizing.size import parse_run_size
from vtadapt.workflows.terminal.tables import Table
from vtadapt.workflows.terminal.text import say

CHECKED = (((97, 131), 1), ((240, 320), 2), ((64, 48), 3))
"""Sizes (height, width) and numbers of pictures that every export is checked on."""

TOLERANCE = 1e-3
"""Largest difference of a number, as a share of the largest of its kind; sums are added in another order elsewhere."""

PIXELS = 1e-3
"""Largest share of pixels of another class: where two classes are level, rounding decides."""


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        format: a key of :data:`vtadapt.workflows.export.formats.FORMATS`.
        size: that the network works at: "auto" (that of the run's training crops) or "HxW".
        input: "uint8" (0..255) or "float" (0..1).
        tasks: only these; None for all.
        out: path of the file; None for NAME.SUFFIX in the run's folder.
        folder: of the runs, see :func:`vtadapt.workflows.run.folder.output_folder`.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    format: str = "onnx"
    size: str = "auto"
    input: str = "uint8"
    tasks: Sequence[str] | None = None
    out: Path | None = None
    folder: Path = Path("runs")
    weights: str | None = None

    def __post_init__(self) -> None:
        """Tell what is typed wrong before any work.

        Raises:
            UsageError: a format, a size or an input that is none.
        """
        if self.format not in FORMATS:
            raise UsageError(
                f"format {self.format!r}; wanted one of {', '.join(FORMATS)}.{near_matches(self.format, FORMATS)}"
            )
        if self.input not in ("uint8", "float"):
            raise UsageError(f"input {self.input!r}; wanted uint8 (0..255) or float (0..1)")
        if self.size == "native":
            raise UsageError(
                "size 'native'; an exported network works at one size, which windows and masks are drawn for: wanted "
                "auto or HEIGHTxWIDTH. Pictures of any size are brought to it, and predictions back, inside of the file"
            )
        parse_run_size(self.size, (1, 1), (1, 1))


def export(run: Path, options: ExportOptions) -> dict[str, Any]:
    """Write a run as one file, and run that on fresh pictures of three sizes.

    Returns:
        {"run", "file", "format", "bytes"[, "opset"], "input", "size": [H, W] of the network, "outputs": {task: what it
        is}, "checked": [{"size", "batch", "difference": {task: number}}], "greatest": {task: number}}. A difference is
        the greatest of all pixels, in the task's units, and for classes the share of pixels that differ.

    Raises:
        UsageError: an option that is none, a package that is not installed, a task that the run does not have.
        DataError: the disk refuses.
        VtadaptError: the network cannot be exported, or the file predicts something else than the run.
    """
    need_packages(options.format)
    loaded = load_run(run, weights=options.weights)
    tasks = _chosen(loaded, options.tasks)
    kind = FORMATS[options.format]
    path = options.out or output_folder(run, options.folder) / f"{_name(run)}{kind.suffix}"
    need_writable(path.parent)
    size = loaded.size if options.size == "auto" else parse_run_size(options.size, (1, 1), (1, 1))
    network = PictureToUnits(loaded.model, tasks, size).eval().requires_grad_(False)  # nor does what the file says
    floats, about = options.input == "float", _about(loaded, tasks, size, options.input)
    example = torch.from_numpy(fresh((size[0] + 9, size[1] + 5), 2, 0, floats=floats))
    with whole_file(path) as temporary:
        said, checked = _written(network, options.format, example, temporary, about)
        _need_equal(checked, path)
    result = {"run": str(run), "file": str(path), "format": options.format, "bytes": path.stat().st_size, **said}
    result |= {"input": options.input, "size": [*size], "outputs": {name: _words(task) for name, task in tasks.items()}}
    greatest = {name: max(each["difference"][name] for each in checked) for name in tasks}
    shown = [{key: value for key, value in each.items() if key != "relative"} for each in checked]
    return {**result, "checked": shown, "greatest": greatest}


def _written(
    network: PictureToUnits, name: str, example: torch.Tensor, path: Path, about: Mapping[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write the file by the first way whose result runs; returns what is said of it, and how far it is off.

    Raises:
        VtadaptError: none does.
        OSError: the disk refuses.
    """
    kind, reasons = FORMATS[name], []
    for number, write in enumerate(kind.write, 1):
        try:
            with torch.no_grad():
                said = write(network, example, path, about)
            checked = _check(network, kind.open(path), example.is_floating_point())
            if number == len(kind.write) or all(share <= 1 for each in checked for share in each["relative"].values()):
                return said, checked
        except (OSError, MemoryError, VtadaptError):  # a full disk is none of the format's faults
            raise
        except Exception as error:  # exporters and runtimes have errors of many kinds of their own
            reasons.append(" ".join(str(error).split())[:200])
        if number < len(kind.write):
            say("a faster way does not follow this network; torch's other exporter is tried, which takes minutes")
    network_name = type(network.network).__name__
    why = "; ".join(dict.fromkeys(reasons))
    raise VtadaptError(f"{network_name} cannot be exported as {name} ({why}); try another --format")


def _name(run: Path) -> str:
    return run.resolve().name


def _chosen(loaded: Loaded, names: Sequence[str] | None) -> dict[str, Task]:
    wanted = [*loaded.tasks] if names is None else list(names)
    wrong = next((name for name in wanted if name not in loaded.tasks), None)
    if wrong is not None or not wanted:
        raise UsageError(f"no task {wrong!r}; run {loaded.path.name!r} has {', '.join(loaded.tasks)}")
    return {name: loaded.tasks[name] for name in wanted}


def _about(loaded: Loaded, tasks: Mapping[str, Task], size: tuple[int, int], kind: str) -> dict[str, str]:
    """What is written into the file: texts, as ONNX has them; those of tasks are JSON."""
    about = {"vtadapt": __version__, "run": loaded.path.name, "size": f"{size[0]}x{size[1]}"}
    about["image"] = f"(batch, height, width, 3) RGB, {kind} of {'0..255' if kind == 'uint8' else '0..1'}"
    for name, task in tasks.items():
        known = {"kind": task.kind, "what": _words(task), "units": task.units, "classes": task.classes}
        about[name] = json.dumps({key: value for key, value in known.items() if value})
    return about


def _words(task: Task) -> str:
    forms = {
        "ids": f"class ids of {len(task.classes)}",
        "numbers": f"numbers, {task.units}".rstrip(", "),
        "vectors": "unit vectors",
        "strengths": "probabilities",
    }
    channels = "" if task.behaviour.scores_classes or task.channels == 1 else f", {task.channels}"
    return f"(batch, height, width{channels}) {forms[task.behaviour.file_form]}"


def _check(network: PictureToUnits, run: Run, floats: bool) -> list[dict[str, Any]]:
    """How far the file is from the network on fresh pictures."""
    found = []
    for seed, (size, batch) in enumerate(CHECKED, 1):
        image = fresh(size, batch, seed, floats=floats)
        with torch.no_grad():
            wanted = {name: value.numpy() for name, value in network(torch.from_numpy(image)).items()}
        given = run(image)
        difference, relative = {}, {}
        for name, value in wanted.items():
            if given[name].shape != value.shape or given[name].dtype != value.dtype:
                raise ValueError(f"{name} is {given[name].dtype} {given[name].shape}, not {value.dtype} {value.shape}")
            classes = network.tasks[name].behaviour.scores_classes
            apart = given[name] != value if classes else np.abs(given[name].astype(float) - value)
            difference[name] = float(apart.mean() if classes else apart.max())
            scale = PIXELS if classes else TOLERANCE * max(float(np.abs(value).max()), 1e-6)
            relative[name] = difference[name] / scale
        found.append({"size": [*size], "batch": batch, "difference": difference, "relative": relative})
    return found


def _need_equal(checked: Sequence[Mapping[str, Any]], path: Path) -> None:
    for each in checked:
        for name, share in each["relative"].items():
            if not share <= 1:
                size, apart = "x".join(map(str, each["size"])), amount(each["difference"][name])
                raise VtadaptError(
                    f"{os.fspath(path)!r} predicts another {name} than the run (difference {apart} at {size}) and is "
                    "not kept; try another --format"
                )


def export_table(result: Mapping[str, Any]) -> list[Table | str]:
    """What was written, for a terminal."""
    table = Table("outputs")
    for column in ("name", "what", "greatest difference"):
        table.add_column(column)
    for name, words in result["outputs"].items():
        table.add_row(name, words, amount(result["greatest"][name]))
    sizes = ", ".join(f"{b} of {h}x{w}" for (h, w), b in ((each["size"], each["batch"]) for each in result["checked"]))
    opset = f", opset {result['opset']}" if "opset" in result else ""
    height, width = result["size"]
    return [
        table,
        f"checked on fresh pictures: {sizes}",
        f"input: image (batch, height, width, 3) RGB {result['input']}, any number and size; the network works at "
        f"{height}x{width}",
        f"{result['file']} ({result['format']}{opset}, {result['bytes'] / 2**20:.1f} MiB)",
    ]
