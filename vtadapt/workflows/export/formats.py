"""The formats of exported runs: how each is written, and how it is run again for the check."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vtadapt.errors import UsageError
from vtadapt.workflows.export.network import PictureToUnits

Arrays = dict[str, NDArray[Any]]
Run = Callable[[NDArray[Any]], Arrays]

Write = Callable[[PictureToUnits, Tensor, Path, Mapping[str, str]], dict[str, Any]]

IMAGE, ABOUT = "image", "about.json"
OPSET = 17
AXES = {0: "batch", 1: "height", 2: "width"}


class Format(NamedTuple):
    """A format of files.

    Attributes:
        suffix: of its files.
        write: each writes a network, given an example and what is told of it, and returns what is said beside; a later
            one is tried where what an earlier one wrote does not pass the check.
        open: a file -> a function from pictures to predictions.
        needs: packages that are in no ordinary installation.
    """

    suffix: str
    write: tuple[Write, ...]
    open: Callable[[Path], Run]
    needs: tuple[str, ...] = ()


class _Outputs(nn.Module):
    """Predictions one after the other, as ONNX has them."""

    def __init__(self, network: PictureToUnits) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(image).values())


def write_onnx(network: PictureToUnits, example: Tensor, path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """ONNX, by tracing: torch's other exporter needs minutes for what this does in seconds."""
    names = [*network.tasks]
    with _quiet():
        torch.onnx.export(
            _Outputs(network),
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[IMAGE],
            output_names=names,
            dynamic_axes=dict.fromkeys((IMAGE, *names), AXES),
        )
    return _told(path, about)


def write_onnx_slowly(network: PictureToUnits, example: Tensor, path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """ONNX, by torch's exporter of programs, which follows sizes through code that tracing takes for constants."""
    names = [*network.tasks]
    dynamic = dict.fromkeys(AXES, torch.export.Dim.DYNAMIC)
    with _quiet():
        torch.onnx.export(
            _Outputs(network),
            (example,),
            str(path),
            dynamo=True,
            external_data=False,
            input_names=[IMAGE],
            output_names=names,
            dynamic_shapes=(dynamic,),
            verbose=False,
        )
    return _told(path, about)


def _told(path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """Write into an ONNX file what is told of it; returns the opset."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(about))
    onnx.save(model, path)
    onnx.checker.check_model(str(path))
    return {"opset": max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))}


def open_onnx(path: Path) -> Run:
    """By onnxruntime, which knows nothing of torch."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what goes wrong is raised, too
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda image: dict(zip(names, session.run(names, {IMAGE: image}), strict=True))


def write_torchscript(network: PictureToUnits, example: Tensor, path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """TorchScript, which C++ and mobile runtimes of torch read."""
    with _quiet():
        traced = torch.jit.trace(network, (example,), strict=False, check_trace=False)
        torch.jit.save(traced, str(path), _extra_files={ABOUT: json.dumps(dict(about))})
    return {}


def open_torchscript(path: Path) -> Run:
    """By torch alone."""
    with _quiet():
        return _arrays(torch.jit.load(str(path)))


def write_torch_export(
    network: PictureToUnits, example: Tensor, path: Path, about: Mapping[str, str]
) -> dict[str, Any]:
    """An ExportedProgram, which torch's compilers read."""
    dynamic = dict.fromkeys(AXES, torch.export.Dim.DYNAMIC)
    with _quiet():
        program = torch.export.export(network, (example,), dynamic_shapes=(dynamic,), strict=False)
        torch.export.save(program, str(path), extra_files={ABOUT: json.dumps(dict(about))})
    return {}


def open_torch_export(path: Path) -> Run:
    """By torch alone."""
    with _quiet():
        return _arrays(torch.export.load(str(path)).module())


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", (write_onnx, write_onnx_slowly), open_onnx, ("onnx", "onnxruntime", "onnxscript")),
    "torchscript": Format(".pt", (write_torchscript,), open_torchscript),
    "torch-export": Format(".pt2", (write_torch_export,), open_torch_export),
}


def need_packages(name: str) -> None:
    """See that what a format needs is installed.

    Raises:
        UsageError: something is missing.
    """
    from importlib.util import find_spec

    missing = [package for package in FORMATS[name].needs if find_spec(package) is None]
    if missing:
        raise UsageError(f"format {name} needs {' and '.join(missing)}; install with: pip install 'vtadapt[export]'")


def _arrays(module: Any) -> Run:
    def run(image: NDArray[Any]) -> Arrays:
        with torch.no_grad(), _quiet():
            return {name: value.numpy() for name, value in module(torch.from_numpy(image)).items()}

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Tracers tell of every number that they take for a constant, as the size of the network is meant to be."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def fresh(size: tuple[int, int], batch: int, seed: int, *, floats: bool) -> NDArray[Any]:
    """Pictures that no export has seen, (B, H, W, 3): coarse noise, so that there is something in them at any size."""
    import cv2

    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8)
    large = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC) for one in coarse])
    return large.astype(np.float32) / 255 if floats else large
