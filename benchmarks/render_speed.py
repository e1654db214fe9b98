"""Images per second that a synthetic set renders: ``python benchmarks/render_speed.py [rooms|sim|real] [workers]``.

Rooms are 128x128, streets (in look ``sim`` or ``real``) 96x192. Also prints processor time per image, which says more
than the clock where other programs run; the workers' is not counted, so it needs 0 workers (this process).
"""

from __future__ import annotations

import sys
import time

from vtadapt.synthetic.rooms.rooms import generate_rooms
from vtadapt.synthetic.streets.streets import generate_streets

WARM, COUNT = 100, 500


def main() -> None:
    """Render, leaving out the start of the workers."""
    what = sys.argv[1] if len(sys.argv) > 1 else "rooms"
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    seeds = range(WARM + COUNT)
    samples = (
        generate_rooms(seeds, workers=workers) if what == "rooms" else generate_streets(seeds, what, workers=workers)
    )
    for _ in range(WARM):
        next(samples)
    started, busy = time.time(), time.process_time()
    for _ in range(COUNT):
        next(samples)
    spent = f", {(time.process_time() - busy) / COUNT * 1e3:.1f} ms of processor time each" if workers == 0 else ""
    print(f"{what}: {COUNT / (time.time() - started):.1f} images/s with {workers} workers{spent}")


if __name__ == "__main__":
    main()
