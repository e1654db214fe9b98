"""The raw maps of ``visualize-attention`` without the photographs: pictures of data that must not be passed on.

    vtadapt visualize-attention photo.jpg --block 1 --size 384x512 --out attention
    python benchmarks/attention_maps.py attention/photo_attention.npz --out docs/images/attention-photo.png

Above the attention that each token receives, below the differences to regular self-attention.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vtadapt.viz.attention import difference, heat
from vtadapt.viz.panels import Cell, panel, save_png

SIDE = 8  # pixels per token


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="")
    args = parser.parse_args()
    with np.load(args.maps) as file:
        maps = {key: file[key].repeat(SIDE, 0).repeat(SIDE, 1) for key in file if key != "pixels_per_token"}
    regular = maps["regular"]
    grey = np.zeros((*regular.shape, 3), dtype=np.uint8)
    high = max(float(np.nanmax(m)) for m in maps.values())
    limit = max(float(np.nanmax(np.abs(m - regular))) for m in maps.values())
    names = {key: key.removeprefix("taa_") + (" (TAA)" if key != "regular" else " self-attention") for key in maps}
    above: list[Cell | None] = [
        Cell(heat(grey, m, high, alpha=1.0), names[key], smooth=False) for key, m in maps.items()
    ]
    below: list[Cell | None] = [None] + [
        Cell(difference(grey, m - regular, limit, alpha=1.0), f"{key.removeprefix('taa_')} - regular", smooth=False)
        for key, m in maps.items()
        if key != "regular"
    ]
    tasks = np.corrcoef([m.ravel() for key, m in maps.items() if key != "regular"])
    print(f"maps of tasks correlate {tasks.min():.2f} to {np.sort(tasks[np.triu_indices(len(tasks), 1)])[-1]:.2f}")
    footer = f"attention received, 0 to {high:.2f} times uniform; differences -{limit:.2f} (blue) to {limit:.2f} (red)"
    save_png(args.out, panel([above, below], title=args.title, footer=footer))


if __name__ == "__main__":
    main()
