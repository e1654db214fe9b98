"""Commands that are killed at random moments and gone on with: bit for bit the end of one that was not disturbed.

    OMP_NUM_THREADS=1 python benchmarks/kill.py                          # 30 SIGKILLs and 30 SIGTERMs of every case
    OMP_NUM_THREADS=1 python benchmarks/kill.py --kills 3 --terms 3 --cases adapters,cache --notes kill.json

Every case is run once undisturbed. Then it is begun anew and killed after a random time (SIGKILL, the first process
only: its children must end by themselves), gone on with, killed again and so on, until it has ended; what is left must
be the same files: weights, optimiser state, records, metrics, packs. SIGTERM is sent in the same way, and must end the
process with 143 and a line that says how to go on; of a training the newest step in its records must be that of the
checkpoint. Seconds, paths and the like, which no two runs share, are left out. Prints a table; exit code 1 where any
differs. With --notes what was sent is kept after every round (from nothing to the end), and the same command again goes
on from there, also with larger numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from kill_cases import CASES, STREETS, TINY, Case
from same_files import contents, differences

from vtadapt.atomic import write_json
from vtadapt.checked import parse_line
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.train.state import LAST

PATIENCE = 900.0  # seconds for one command: an undisturbed one takes less than a minute on an idle core


class Ended(NamedTuple):
    """A command that has ended, and after how many seconds."""

    code: int
    err: str
    seconds: float


@dataclass
class Place:
    """Where a case is run.

    Attributes:
        case: the command.
        data: folder of the packs.
        out: what it writes.
        run: a finished run.
        length: seconds that it takes undisturbed.
        fresh: whether it has not been disturbed since it was begun.
    """

    case: Case
    data: Path
    out: Path
    run: Path
    length: float = 0.0
    fresh: bool = True

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


@dataclass
class Record:
    """What came of a signal sent to a case.

    Attributes:
        sent: how often.
        rounds: from nothing to the end.
        wrong: what differed, and what was not told.
    """

    sent: int = 0
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)


def disturbed(
    place: Place, number: int, count: int, record: Record, chance: random.Random, wanted: dict[str, str]
) -> None:
    """One round: begin anew, go on from signal to signal until it ends or ``count`` were sent, and then to its end."""
    shutil.rmtree(place.out)
    place.fresh, record.rounds = True, record.rounds + 1
    while True:
        wait = send_after(chance.uniform(0.02, 1.0) * place.length, number) if record.sent < count else None
        ended = place.start(wait)
        if ended.code == 0:
            # On a machine with other work it took longer at first: signals would come when all is over.
            place.length = min(place.length, ended.seconds) if wait is not None and place.fresh else place.length
            break
        place.fresh = False
        record.sent += 1
        if wait is None or ended.code not in (-number, 128 + number):
            record.wrong.append(f"exit code {ended.code}: {ended.err.strip()[-2000:]!r}")
            return
        if number == signal.SIGTERM and ended.code == 143:
            if "to go on: " not in ended.err:
                record.wrong.append(f"no line: {ended.err.strip()[-80:]}")
            if problem := newest_is_kept(place.out) if place.case.resumed else None:
                record.wrong.append(problem)
    record.wrong += differences(contents(place.out), wanted)


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


class Notes:
    """What was done before, by case and signal; kept in a file where one is named."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        known = json.loads(path.read_text()) if path is not None and path.is_file() else {}
        self.records = {key: Record(**value) for key, value in known.items()}

    def of(self, case: str, number: signal.Signals) -> Record:
        """The record of a case and a signal, which is written to."""
        return self.records.setdefault(f"{case} {number.name}", Record())

    def save(self) -> None:
        """Keep what is there now."""
        if self.path is not None:
            write_json(self.path, {key: asdict(record) for key, record in self.records.items()})


def run_case(name: str, place: Place, counts: dict[signal.Signals, int], notes: Notes, seed: int) -> bool:
    """Send every signal as often as is wanted, and print a row of each; whether all ended the same."""
    whole: Ended | None = None
    wanted: dict[str, str] = {}
    for number, count in counts.items():
        record = notes.of(name, number)
        while record.sent < count:
            if whole is None:
                whole = place.start()
                if whole.code:
                    raise SystemExit(f"{name}: exit code {whole.code}: {whole.err}")
                wanted, place.length = contents(place.out), whole.seconds
            chance = random.Random(f"{seed} {name} {number.name} {record.sent}")
            disturbed(place, number, count, record, chance, wanted)
            notes.save()
        if count:
            length = "before" if whole is None else f"{whole.seconds:.1f} s"
            told = "; ".join(dict.fromkeys(record.wrong)) or "none"
            cells = (name, length, number.name, str(record.sent), str(record.rounds), told)
            print(f"| {' | '.join(cells)} |", flush=True)
    shutil.rmtree(place.out, ignore_errors=True)
    return not any(notes.of(name, number).wrong for number in counts)


def main() -> None:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs of every case")
    parser.add_argument("--terms", type=int, default=30, help="SIGTERMs of every case")
    parser.add_argument("--cases", default=",".join(CASES), help="some of them, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--notes", type=Path, help="file of what was sent, to go on from")
    given = parser.parse_args()
    cases, notes = given.cases.split(","), Notes(given.notes)
    counts = {signal.SIGKILL: given.kills, signal.SIGTERM: given.terms}
    cases_left = [c for c in cases if any(notes.of(c, number).sent < count for number, count in counts.items())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, cases_left)
        print("| case | undisturbed | signal | sent | to the end | different |\n|---|---|---|---|---|---|", flush=True)
        runs = sorted((folder / "runs").glob("*-0001"))
        run = runs[0] if runs else folder
        places = {case: Place(CASES[case], folder / "data", folder / case, run) for case in cases}
        good = [run_case(case, place, counts, notes, given.seed) for case, place in places.items()]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
