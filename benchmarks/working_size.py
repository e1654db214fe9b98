"""Which working size is best: a run measured at several, against labels of the photographs' own size.

    vtadapt prepare-data camvid --source PATH --size native --splits val --data-dir native
    python benchmarks/working_size.py RUN --data camvid --data-dir native --factors 0.7 1 1.4 2 native --limit 50

A factor is on the sides of what ``--size auto`` means: as many pixels as the training crops. With ``--tile N`` the
larger sizes are worked through in tiles. Seconds are of the CPU, an image, with measuring.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.sizing.size import parse_run_size


def main() -> None:
    """Measure and print one row of a table a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True, help="one data set, prepared at its photographs' own size")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--factors", nargs="+", default=["0.7", "1", "1.4", "2", "native"])
    parser.add_argument("--tile", default="none")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=Path("working_size"))
    args = parser.parse_args()
    loaded = load_run(args.run)
    settings = loaded.settings.model_copy(update={"data_dir": args.data_dir})
    stored = open_reader(settings, args.data, "val").size(0)
    height, width = parse_run_size("auto", stored, loaded.size)
    for factor in args.factors:
        size = factor if factor == "native" else f"{round(height * float(factor))}x{round(width * float(factor))}"
        began = time.process_time()
        options = {"data_dir": args.data_dir, "limit": args.limit, "size": size, "tile": args.tile}
        found = evaluate_run(args.run, EvalOptions(data=args.data, accelerator="cpu", folder=args.out, **options))
        about = found["sizes"][args.data][0]
        parts = [f"x {factor}", "{} x {}".format(*about["run_size"]), str(about["tiles"])]
        for name, metrics in found["metrics"][args.data].items():
            headline = loaded.tasks[name].headline
            parts.append(f"{name} {headline} {metrics[headline]:.4f}")
        seconds = (time.process_time() - began) / found["images"][args.data]
        print(" | ".join([*parts, f"{seconds:.2f} s"]), flush=True)


if __name__ == "__main__":
    main()
