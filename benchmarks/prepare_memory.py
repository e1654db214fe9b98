"""Peak memory and speed of preparing small and large data sets: whether memory grows with their number.

Writes CamVid's layout with COUNT pictures of 120x160 (a few files, linked under many names), prepares it in a process
of its own, reads it back, and prints the process's peak resident memory.

    python benchmarks/prepare_memory.py --counts 1000 20000
    python benchmarks/prepare_memory.py --counts 1000 20000 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (120, 160)
DIFFERENT = 20  # files; the others are links to them


def write_source(root: Path, count: int) -> None:
    """CamVid's layout with ``count`` training pictures and 10 for validation."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", 10)):
        for folder, kind in ((split, "image"), (f"{split}annot", "label")):
            (root / folder).mkdir(parents=True)
            for i in range(number):
                path = root / folder / f"{i:06d}.png"
                if i >= DIFFERENT:
                    os.link(root / folder / f"{i % DIFFERENT:06d}.png", path)
                elif kind == "label":
                    Image.fromarray(np.kron(random.integers(0, 12, (12, 16)), np.ones((10, 10))).astype(np.uint8)).save(
                        path
                    )
                else:
                    noise = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
                    Image.fromarray(noise).save(path)


def work(source: Path, out: Path, workers: int, shard_size: int) -> dict[str, float]:
    """Prepare and read every sample; seconds, images per second and MiB."""
    from vtadapt.data.pack.manifest import open_pack
    from vtadapt.data.prepare.prepare import PrepareOptions, prepare
    from vtadapt.data.recipe.recipe import load_recipe

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    options = PrepareOptions(size="native", workers=workers, shard_size=shard_size)
    manifest = prepare(load_recipe("camvid"), source, out, options)
    written = time.perf_counter() - start
    prepared = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reader = open_pack(out, "camvid", "train")
    start = time.perf_counter()
    for index in np.random.default_rng(0).permutation(len(reader)).tolist():
        reader.read(index)
    read = time.perf_counter() - start
    return {
        "images": len(reader),
        "files": len(manifest["splits"]["train"]["shards"]),
        "write_per_s": len(reader) / written,
        "read_per_s": len(reader) / read,
        "mib_before": before,
        "mib_prepared": prepared,
        "mib_read": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "mib_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def main() -> None:
    """Run each count in its own process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--shard-size", type=int, default=2000)
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(work(Path(given.one[0]), Path(given.one[1]), given.workers, given.shard_size)))
        return
    print("images  files  written/s  read/s  MiB at start  prepared  read  largest worker")
    for count in given.counts:
        with tempfile.TemporaryDirectory() as folder:
            write_source(Path(folder) / "source", count)
            command = [sys.executable, __file__, "--workers", str(given.workers), "--shard-size", str(given.shard_size)]
            command += ["--one", f"{folder}/source", f"{folder}/out"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        r = json.loads(done.stdout)
        print(
            f"{r['images']:6.0f}  {r['files']:5.0f}  {r['write_per_s']:9.0f}  {r['read_per_s']:6.0f}"
            f"  {r['mib_before']:12.0f}  {r['mib_prepared']:8.0f}  {r['mib_read']:4.0f}  {r['mib_worker']:14.0f}"
        )


if __name__ == "__main__":
    main()
