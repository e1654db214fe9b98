"""Images of 128x128 per second that ``rooms`` renders: ``python benchmarks/rooms_speed.py [workers]``."""

from __future__ import annotations

import sys
import time

from vtadapt.data.synthetic.rooms import generate_rooms

WARM, COUNT = 100, 500


def main() -> None:
    """Render, leaving out the start of the workers."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    rooms = generate_rooms(range(WARM + COUNT), (128, 128), False, workers)
    for _ in range(WARM):
        next(rooms)
    started = time.time()
    for _ in range(COUNT):
        next(rooms)
    print(f"{COUNT / (time.time() - started):.1f} images/s with {workers} workers")


if __name__ == "__main__":
    main()
