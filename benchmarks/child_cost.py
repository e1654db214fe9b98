"""Milliseconds that MATLAB and HDF5 sources take to read in the child process, beside the same parsers here.

    OMP_NUM_THREADS=1 python benchmarks/child_cost.py

By the clock, as two processes share the work: medians of rounds in turn. Files are made with seed 0: a map of NYUD_MT,
an annotation of BSDS500 by five people, a picture of Hypersim.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import scipy.io

from vtadapt.data.readers.published import hypersim
from vtadapt.data.readers.raw import mat

ROUNDS = 15


def pairs(folder: Path) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Name -> reading in the child, and here; the files are written to ``folder``."""
    random = np.random.default_rng(0)
    cells = np.empty((1, 5), object)
    for i in range(5):
        regions = random.integers(0, 20, (33, 49)).repeat(10, 0).repeat(10, 1)[:321, :481].astype(np.uint16)
        cells[0, i] = {"Segmentation": regions, "Boundaries": (random.random((321, 481)) > 0.97).astype(np.uint8)}
    scipy.io.savemat(folder / "map.mat", {"a": np.zeros((425, 560), np.uint8)}, do_compression=True)
    scipy.io.savemat(folder / "cells.mat", {"a": cells}, do_compression=True)
    picture = np.cumsum(random.normal(size=(768, 1024, 3)), axis=1).astype(np.float16)
    with h5py.File(folder / "picture.hdf5", "w") as file:
        file.create_dataset("dataset", data=picture, chunks=(96, 128, 3), compression="gzip", compression_opts=1)

    def here(path: Path) -> object:
        with mat._reading(path, "numbers", mat.LARGEST):
            return mat._load(str(path), "a")

    path = folder / "picture.hdf5"
    found: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        name: (lambda f=file: mat.read_mat(f, "a", "numbers"), lambda f=file: here(f))  # type: ignore[misc]
        for name, file in (("map", folder / "map.mat"), ("annotation", folder / "cells.mat"))
    }
    found["picture"] = (
        lambda: hypersim.read_array(path, "f", (3,)),
        lambda: hypersim._array_of(path, "f", (3,)).astype(np.float32),
    )
    return found


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        for name, ways in pairs(Path(folder)).items():
            laps: tuple[list[float], list[float]] = ([], [])
            for number in range(ROUNDS + 1):
                for way, times in zip(ways, laps, strict=True):
                    start = time.perf_counter()
                    way()
                    if number:  # the first starts the child
                        times.append(1000 * (time.perf_counter() - start))
            print(f"| {name} | child {median(laps[0]):.1f} | here {median(laps[1]):.1f} |")


if __name__ == "__main__":
    main()
