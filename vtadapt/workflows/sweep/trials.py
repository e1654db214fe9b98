"""The grid of a comparison: which runs it consists of, and carrying them out in processes of one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vtadapt.atomic import disk_error
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.backbones.weights.find import recognise
from vtadapt.strict_json import parse_json
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.same_packs import changed_pack, digests_of, noted_packs
from vtadapt.workflows.run.methods import METHODS, all_compared
from vtadapt.workflows.run.settings import TrainSettings, load, parse_assignments, save, validate
from vtadapt.workflows.run.settings.reading import check_read, for_method, reads
from vtadapt.workflows.sweep.trial_process import COST, MEASURE, TRAIN, run_trial
from vtadapt.workflows.terminal.interrupt import uninterrupted
from vtadapt.workflows.terminal.progress import Progress

LOG = "log.txt"
PATIENCE = 30.0  # seconds that a process has to end in: a step, and a checkpoint of it
POLL = 0.2  # seconds between two looks at the processes
MOVABLE = ("data_dir", "run_dir", "start")  # settings in which a kept trial may differ


@dataclass(frozen=True)
class Variant:
    """A column of the table: a method with its encoder."""

    label: str
    method: str
    settings: TrainSettings

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return self.settings.encoder


@dataclass
class Trial:
    """A variant with a seed: one run folder."""

    label: str
    seed: int
    path: Path
    settings: TrainSettings
    error: str | None = None
    """Why it failed; None while it has not."""
    what: str = TRAIN
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.label} seed {self.seed}"

    @property
    def done(self) -> bool:
        """Whether it is finished; the panels are the last that a run writes."""
        if self.what == MEASURE:
            return (self.path / COST).is_file()
        panels = [self.path / f"panel-{name}.png" for name in self.settings.data_names]
        return all(path.is_file() for path in (self.path / files.RESULTS, *panels))

    def step(self) -> int:
        """The last step in its log."""
        try:
            lines = (self.path / files.METRICS).read_text(encoding="utf-8").splitlines()
            return int(parse_json(lines[-1])["step"])
        except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError):
            return 0


def find_variants(names: str, base: TrainSettings, own: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """The variants named by "METHOD[:ENCODER],...", or "all".

    Args:
        names: as typed; behind the colon there may be settings, too: METHOD:KEY=VALUE, several joined with "+".
        base: settings of all of them; a method gets those that it reads (:func:`check_given` sees to the others).
        own: method (or METHOD:ENCODER) -> settings that differ for it.

    Raises:
        UsageError: unknown, or twice the same.
        ConfigError: a setting that does not fit.
    """
    listed = [part.strip() for part in names.split(",") if part.strip()]
    if listed == ["all"]:
        listed = [name for name in all_compared() if not (base.backbone and ":" in name)]
    for name in listed:
        if name.split(":")[0] not in METHODS:
            close = near_matches(name.split(":")[0], METHODS)
            raise UsageError(f"unknown method {name!r} in --methods; wanted all, or of {', '.join(METHODS)}.{close}")
    if not listed or len(set(listed)) < len(listed):
        raise UsageError(
            f"--methods {names!r}: wanted each method once, or with another encoder or setting as METHOD:ENCODER "
            "or METHOD:KEY=VALUE"
        )
    for name in sorted(own.keys() - set(listed) - {name.split(":")[0] for name in listed}):
        raise UsageError(f"--set {name}:...: no such method in this comparison; there: {', '.join(listed)}")
    given = base.model_dump(exclude_unset=True)
    variants = []
    for name in listed:
        method, named = _named(name)
        changes = {"method": method, **own.get(method, {}), **own.get(name, {}), **named}
        common = {key: given[key] for key in for_method(given, method)}
        settings = validate({**common, **changes}, f"settings of {name!r}")
        check_read(dict.fromkeys(named, f"--methods {name}"), [settings])
        variants.append(Variant(name, method, settings))
    return variants


def _named(name: str) -> tuple[str, dict[str, Any]]:
    """The method of a variant's name, and the settings that the name gives it.

    Raises:
        UsageError: two encoders, no KEY=VALUE, or what the name of its folder cannot hold.
    """
    method, _, rest = name.partition(":")
    parts = rest.split("+") if rest else []
    encoders = [part for part in parts if "=" not in part]
    if len(encoders) > 1 or set(rest) & set("@/\\"):
        raise UsageError(f"--methods {name!r}; wanted METHOD[:ENCODER][+KEY=VALUE...]; paths go to --set {method}:...")
    changes = parse_assignments([part for part in parts if "=" in part], f"--methods {method}:")
    if "method" in changes:
        raise UsageError(f"--methods {name!r} names two methods; keep one of them")
    return method, {**changes, **({"backbone": encoders[0]} if encoders else {})}


def check_given(
    given: Mapping[str, str] | None,
    base: TrainSettings,
    own: Mapping[str, Mapping[str, Any]],
    trained: Sequence[Variant],
) -> None:
    """Refuse settings that nothing reads of what is trained, see :func:`.run.settings.reading.check_read`.

    Args:
        given: setting of all -> where it was given; None for those of ``base`` that differ from their defaults.
        base: settings of all.
        own: method (or METHOD:ENCODER) -> settings of it alone.
        trained: all that is trained, labelled METHOD or METHOD:..., as the keys of ``own``.

    Raises:
        ConfigError: names the setting, the methods that read it and what to do.
    """
    if given is None:
        given = {key: "" for key in type(base).model_fields if base.changed(key)}
    common = {key: place for key, place in given.items() if key != "method"}  # what is compared has its own
    check_read(common, [variant.settings for variant in trained])
    for name, values in own.items():
        mine = [v.settings for v in trained if f"{v.label}:".startswith(f"{name}:")]
        check_read(dict.fromkeys(values, f"--set {name}:..."), mine)


def make_trial(variant: Variant, seed: int, folder: Path, **changes: Any) -> Trial:
    """The trial of a variant and a seed below ``folder``; ``changes``: settings that differ from the variant's."""
    settings = variant.settings.model_copy(update={"seed": seed, "run_dir": folder, **changes})
    return Trial(variant.label, seed, folder / f"{variant.label.replace(':', '@')}-seed{seed}", settings)


def begin(trial: Trial) -> None:
    """Make the folder of a trial, or check that the one there was made with the same settings.

    Raises:
        ConfigError: it was made with others.
    """
    path = trial.path / files.SETTINGS
    if not path.is_file():
        save(path, trial.settings)
        return
    if differs := disagreement(trial):
        key, found, wanted = differs
        raise ConfigError(
            f"{os.fspath(trial.path)!r} was made with {key} = {found!r}, wanted {wanted!r}: keep to the settings that "
            "this comparison began with, or name another folder with --out"
        )


def disagreement(trial: Trial, ignored: Sequence[str] = ()) -> tuple[str, Any, Any] | None:
    """Return a setting in which the trial that is in the folder differs, its value there and that wanted."""
    both = load(trial.path / files.SETTINGS), trial.settings
    found, wanted = ({**each.model_dump(mode="json"), "backbone": each.encoder} for each in both)
    for key in sorted(wanted.keys() - {*MOVABLE, *ignored}):
        if found[key] != wanted[key] and reads(trial.settings.method, key) and not _moved(trial, key):
            return key, found[key], wanted[key]
    if changed := changed_pack(trial.path, digests_of(noted_packs(trial.path), trial.settings.data_dir)):
        name, noted, now = changed
        return f"the pack of {name!r}", noted, now
    return None


def _moved(trial: Trial, key: str) -> bool:
    """Whether ``key`` names the file of the trial's backbone, which lies elsewhere by now."""
    config = trial.path / files.CONFIG
    if key != "weights" or not config.is_file():
        return False
    return recognise(files.read_json(config)["backbone"], trial.settings.weights)


def run_trials(trials: Sequence[Trial], jobs: int, title: str, quiet: bool, told: Callable[[Trial], str]) -> None:
    """Carry out the trials that are not finished, ``jobs`` at a time; one that fails does not end the others.

    Args:
        trials: in the order they are begun in; ``error`` is filled where one fails.
        jobs: processes; 0 runs all in this one (for tests: nothing protects it from what happens in there).
        title: of the bar.
        quiet: no progress.
        told: the line to print when a trial is finished.
    """
    waiting = [trial for trial in trials if not trial.done]
    running: list[Trial] = []
    finished = len(trials) - len(waiting)
    try:
        with Progress(len(trials), finished, title, quiet) as bar:
            while waiting or running:
                while waiting and len(running) < max(1, jobs):
                    running.append(_start(waiting.pop(0), jobs == 0))
                time.sleep(POLL if jobs else 0)
                for trial in [c for c in running if c.process is None or c.process.poll() is not None]:
                    running.remove(trial)
                    finished += 1
                    _end(trial)
                    bar.message(f"{trial.name}: {trial.error or told(trial)}")
                bar.update(finished, {trial.name: trial.step() for trial in running})
    finally:
        with uninterrupted():
            _stop([trial.process for trial in running if trial.process is not None])


def failures(trials: Sequence[Trial]) -> dict[str, str]:
    """The trials that failed, by name, and why."""
    return {trial.name: trial.error for trial in trials if trial.error is not None}


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes; each is given time to keep the steps that it has taken."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(trial: Trial, here: bool) -> Trial:
    if here:
        try:
            run_trial(trial.what, trial.path)
        except Exception as error:  # as the process would: one trial's defect is not the grid's
            trial.error = " ".join(str(error).split()) or type(error).__name__
        return trial
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vtadapt.workflows.sweep.trial_process", trial.what, os.fspath(trial.path)]
    with disk_error(trial.path / LOG):
        log: IO[bytes] = (trial.path / LOG).open("wb")
    with log:
        trial.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ)
    return trial


def _end(trial: Trial) -> None:
    """Find out whether a trial failed, and why."""
    if trial.process is None:
        return
    code = trial.process.returncode
    if trial.process.stdin is not None:
        trial.process.stdin.close()
    if code == 0 and trial.done:
        return
    lines = (trial.path / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    trial.error = last if code > 0 else f"ended by signal {-code}" if code < 0 else f"left no results ({last})"
