"""Commands that are killed at random moments and gone on with: bit for bit the end of one that was not disturbed.

    OMP_NUM_THREADS=1 python benchmarks/kill.py                          # 30 SIGKILLs and 30 SIGTERMs of every case
    OMP_NUM_THREADS=1 python benchmarks/kill.py --kills 3 --terms 3 --cases adapters,cache

Every case is run once undisturbed. Then it is begun anew and killed after a random time (SIGKILL, the first process
only: its children must end by themselves), gone on with, killed again and so on, until it has ended; what is left must
be the same files: weights, optimiser state, records, metrics, packs. SIGTERM is sent in the same way, and must end the
process with 143 and a line that says how to go on; of a training the newest step in its records must be that of the
checkpoint. Seconds, paths and the like, which no two runs share, are left out. Prints a table; exit code 1 where any
differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from same_files import contents, differences

from vtadapt.checked import parse_line
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.train.state import LAST

PATIENCE = 900.0  # seconds for one command: an undisturbed one takes less than a minute on an idle core
TINY = ["--set", "checkpoint_steps=3", "--set", "log_steps=1", "--set", "val_images=2", "--batch-size", "2"]


@dataclass(frozen=True)
class Case:
    """A command, how it is gone on with, and the packs that it needs.

    Attributes:
        begin: its words; "DATA", "OUT" and "RUN" stand for the folders of packs and results and a finished run.
        resumed: whether it goes on by ``train --resume``; else by the same command again.
        environ: variables, likewise.
        packs: prepared before.
        trained: whether it needs a finished run.
    """

    begin: list[str]
    resumed: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    packs: tuple[str, ...] = ("rooms",)
    trained: bool = False


def train(*options: str) -> list[str]:
    """The words of a short training on rooms."""
    return ["train", "rooms", "--data-dir", "DATA", "--run-dir", "OUT", "--set", "steps=14", *TINY, *options]


STREETS = ("streets_sim", "streets_real")
SWEEP = ["--data-dir", "DATA", "--out", "OUT", *TINY]
CASES = {
    "adapters": Case(train(), resumed=True),
    "mtl-cnn": Case(train("--method", "mtl-cnn"), resumed=True),
    "cache": Case(
        train("--cache-features", "disk", "--augment-views", "2"),
        resumed=True,
        environ={"VTADAPT_CACHE_DIR": "OUT/cache"},
    ),
    "devices-2": Case(train("--devices", "2", "--accelerator", "cpu", "--batch-size", "1"), resumed=True),
    "compare": Case(
        [
            "compare",
            "rooms",
            "--methods",
            "linear,adapters",
            "--seeds",
            "1",
            "--budget",
            "steps=8",
            "--jobs",
            "2",
            *SWEEP,
        ]
    ),
    "adapt": Case(["adapt", *STREETS, "--seeds", "1", "--set", "steps=6", "--jobs", "2", *SWEEP], packs=STREETS),
    "zero-shot": Case(
        [
            "zero-shot",
            "streets_real",
            "--task",
            "depth",
            "--from",
            "RUN",
            "--steps",
            "6",
            "--jobs",
            "2",
            "--data-dir",
            "DATA",
        ]
        + ["--out", "OUT"],
        packs=STREETS,
        trained=True,
    ),
    "prepare-data": Case(
        ["prepare-data", "rooms", "--size", "64x64", "--limit", "24", "--shard-size", "6", "--workers", "2"]
        + ["--data-dir", "OUT"],
        packs=(),
    ),
}


class Ended(NamedTuple):
    """A command that has ended, and after how many seconds."""

    code: int
    err: str
    seconds: float


@dataclass
class Place:
    """Where a case is run."""

    case: Case
    data: Path
    out: Path
    run: Path

    def words(self, words: list[str]) -> list[str]:
        """Words with folders in place of their names."""
        places = {"DATA": self.data, "OUT": self.out, "RUN": self.run}
        return [str(places.get(word, word)) for word in words]

    def next(self) -> list[str]:
        """The command that begins, or goes on."""
        if self.case.resumed and (runs := sorted(self.out.glob("*/settings.yaml"))):
            return ["train", "--resume", str(runs[-1].parent)]
        return self.words(self.case.begin)

    def start(self, signalled: Callable[[subprocess.Popen[bytes]], None] | None = None) -> Ended:
        """Run the next command; ``signalled`` is called with the process once it has started."""
        self.out.mkdir(parents=True, exist_ok=True)
        environ = {name: value.replace("OUT", str(self.out)) for name, value in self.case.environ.items()}
        with (self.out / "stderr").open("wb") as err:
            started = time.monotonic()
            command = [sys.executable, "-m", "vtadapt", *self.next()]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=err, env=os.environ | environ, start_new_session=True
            )
            try:
                if signalled is not None:
                    signalled(process)
                process.wait(PATIENCE)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return Ended(process.returncode, (self.out / "stderr").read_text(errors="replace"), time.monotonic() - started)


def send_after(seconds: float, number: int) -> Callable[[subprocess.Popen[bytes]], None]:
    """Send a signal to a process that still runs after some seconds."""

    def send(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)

    return send


def newest_is_kept(out: Path) -> str | None:
    """What is wrong with the checkpoint of an interrupted training; None where its newest step is in it."""
    for settings in out.glob("*/settings.yaml"):
        records = settings.parent / "metrics.jsonl"
        steps = [parse_line(line)["step"] for line in records.read_bytes().splitlines()] if records.is_file() else []
        if not steps:
            continue
        if not (settings.parent / LAST).is_file():
            return f"{max(steps)} steps and no checkpoint"
        if (kept := checkpoint.read_tensors(settings.parent / LAST)[1]["step"]) != max(steps):
            return f"{max(steps)} steps, {kept} kept"
    return None


def disturbed(place: Place, number: int, count: int, length: float, chance: random.Random) -> tuple[list[str], int]:
    """Go on from signal to signal until ``count`` were sent and the last command has ended; errors, and rounds."""
    wrong: list[str] = []
    sent = rounds = 0
    wanted = contents(place.out)
    while sent < count:
        shutil.rmtree(place.out)
        rounds += 1
        while True:
            wait = send_after(chance.uniform(0.02, 1.0) * length, number) if sent < count else None
            ended = place.start(wait)
            if ended.code == 0:
                break
            sent += 1
            if wait is None or ended.code not in (-number, 128 + number):
                wrong.append(f"exit code {ended.code}: {ended.err.strip().splitlines()[-1:]}")
                break
            if number == signal.SIGTERM and ended.code == 143:
                if "to go on: " not in ended.err:
                    wrong.append(f"no line: {ended.err.strip()[-80:]}")
                if problem := newest_is_kept(place.out) if place.case.resumed else None:
                    wrong.append(problem)
        wrong += differences(contents(place.out), wanted)
    return wrong, rounds


def prepare(folder: Path, cases: list[str]) -> None:
    """Packs and the run that cases need."""
    packs = dict.fromkeys(pack for name in cases for pack in CASES[name].packs)
    small = ["--limit", "12", "--workers", "2", "--data-dir", str(folder / "data"), "--quiet"]
    for pack in packs:
        size = "64x128" if pack in STREETS else "64x64"
        _must(["prepare-data", pack, "--size", size, *small])
    if any(CASES[name].trained for name in cases):
        options = ["--data-dir", str(folder / "data"), "--run-dir", str(folder / "runs"), "--set", "steps=4", "--quiet"]
        _must(["train", "streets_sim", *options, *TINY])


def _must(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "vtadapt", *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs of every case")
    parser.add_argument("--terms", type=int, default=30, help="SIGTERMs of every case")
    parser.add_argument("--cases", default=",".join(CASES), help="some of them, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    cases, chance, failed = given.cases.split(","), random.Random(given.seed), False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, cases)
        print("| case | undisturbed | signal | sent | to the end | different |\n|---|---|---|---|---|---|", flush=True)
        for case in cases:
            runs = sorted((folder / "runs").glob("*-0001"))
            place = Place(CASES[case], folder / "data", folder / case, runs[0] if runs else folder)
            whole = place.start()
            if whole.code:
                raise SystemExit(f"{case}: exit code {whole.code}: {whole.err}")
            for number, count in ((signal.SIGKILL, given.kills), (signal.SIGTERM, given.terms)):
                if not count:
                    continue
                wrong, rounds = disturbed(place, number, count, whole.seconds, chance)
                failed = failed or bool(wrong)
                told = "; ".join(dict.fromkeys(wrong)) or "none"
                cells = (case, f"{whole.seconds:.1f} s", number.name, str(count), str(rounds), told)
                print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
