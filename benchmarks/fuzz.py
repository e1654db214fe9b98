"""Damaged and hostile input of every kind, by the thousand: each case in a process that may die, 8 s each.

    python benchmarks/fuzz.py --count 10000 --seed 1 --kind recipe
    python benchmarks/fuzz.py --count 10000            # all kinds

Counts undocumented exceptions, crashes and hangs, and keeps the inputs that caused them. What is done is noted in
OUT/KIND-SEED.json, so that the same command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzz.campaign import Result, keep, run
from tests.fuzz.kinds import KINDS
from vtadapt.atomic import write_json


def main() -> None:
    """Run the campaigns that were asked for; the exit code is 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="repeatable; default: all")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder of the notes and of what failed")
    asked = parser.parse_args()
    failed = 0
    for kind in asked.kind or KINDS:
        notes = asked.out / f"{kind}-{asked.seed}.json"
        before = Result(**json.loads(notes.read_text())) if notes.is_file() else Result()
        before.faults = [(number, said) for number, said in before.faults]
        result = run(kind, asked.seed, asked.count, before, lambda now, to=notes: write_json(to, asdict(now)))
        write_json(notes, asdict(result))
        print(
            f"{kind}: {result.done} cases, {result.good} read, {result.refused} refused, {len(result.faults)} faults",
            flush=True,
        )
        for said, times in Counter(said.partition(": ")[0] for _, said in result.faults).most_common():
            number, whole = next(fault for fault in result.faults if fault[1].startswith(said))
            place = keep(kind, asked.seed, number, asked.out)
            print(f"  {times} x {whole[:160]}  ({place})", flush=True)
        failed += len(result.faults)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
