"""What a zero-shot transfer consists of, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, DataError, UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import find_recipe, need_prepared
from vtadapt.workflows.run.data.packs import packs_of
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import RunConfig, load_run, read_config
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import TrainSettings, load, parse_list, validate
from vtadapt.workflows.run.settings.reading import check_read
from vtadapt.workflows.sweep.start import parse_seeds
from vtadapt.workflows.train.old_tasks import OldTasks, match_tasks
from vtadapt.workflows.train.plan import plan_run
from vtadapt.workflows.train.starting_run import Start, open_start

DIRECT, ZERO_SHOT, ORACLE = "direct", "zero-shot", "oracle"
ABLATIONS = ("uniform", "identity")

DEFAULTS: Mapping[str, Any] = {
    **{"steps": 300, "epochs": None, "size": None, "tasks": None, "devices": 1, "num_nodes": 1},
    **{"lr": 2e-3, "own_first": 0.3, "shared_lr_scale": 0.15, "target": None, "label_space": None},
}
"""Settings that are not taken from the run; the rates keep features near to where the frozen head can read them."""

FIXED = (
    *("data", "data_dir", "run_dir", "tasks", "method", "start", "held", "affinity", "troa_weights", "seed"),
    *("target", "label_space"),
)
ARCHITECTURE = (
    *(
        "backbone",
        "weights",
        "embedding_dim",
        "reduction",
        "adapted_blocks",
        "decoder",
        "decoder_width",
        "decoder_sharing",
    ),
    *("train_blocks", "reference"),
)


@dataclass(frozen=True)
class ZeroShotOptions:
    """What is transferred, and how.

    Attributes:
        task: n, the task without labels on the target.
        labels: tasks whose labels are used there, separated by commas; None for all other tasks of the run.
        method: must be the run's, where it is given.
        seeds: their number, or several separated by commas; None for one per run.
        ablations: other matrices A, separated by commas: "uniform", "identity", or nothing.
        jobs: processes of one thread each; 0 for this process.
        changes: settings in which the transfer differs from the run's training.
        out: folder; None for RUN_DIR/zero-shot-TARGET-TASK, with "-rehearsed" where that is asked for.
        images: of the picture.
        rehearse: every step also has a batch of the data that the run was trained on.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    task: str
    labels: str | None = None
    method: str | None = None
    seeds: str | None = None
    ablations: str = "uniform"
    jobs: int = 1
    changes: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    images: int = 4
    rehearse: bool = False
    weights: str | None = None


@dataclass(frozen=True)
class Plan:
    """A transfer.

    Attributes:
        recipe: of the target.
        sources: seed -> the run that it starts from.
        task: n, as it is measured on the target.
        labels: tasks whose labels are used.
        held: the other tasks of the run, n among them.
        old: tasks and class maps, the same for all runs.
        trained_on: the data of the run.
        base: settings of every training, but for seed, start, held tasks and A.
        trainings: their labels, in order.
        measurable: whether the target's validation images have labels of n.
        weights: where those of the runs' backbone are, as typed.
    """

    recipe: Recipe
    sources: dict[int, Path]
    task: Task
    labels: list[str]
    held: list[str]
    old: OldTasks
    trained_on: str
    base: TrainSettings
    trainings: list[str]
    measurable: bool
    weights: str | None = None

    def facts(self) -> dict[str, Any]:
        """What ``zero_shot.json`` tells of it."""
        return {
            "data": self.recipe.name,
            "task": self.task.name,
            "labels": self.labels,
            "held": self.held,
            "new_heads": list(self.old.fresh),
            "method": self.base.method,
            "from": {str(seed): str(path) for seed, path in self.sources.items()},
            "trained_on": self.trained_on,
            "rehearse": self.base.rehearse,
            "seeds": list(self.sources),
            "measurable": self.measurable,
        }


def make_plan(
    target: str, sources: Sequence[Path], options: ZeroShotOptions, *, data_dir: Path | None, quiet: bool
) -> Plan:
    """Check everything, then render a synthetic target that is not there. For errors see ``zero_shot``."""
    config, settings = _same_kind(sources, options)
    by_seed = _seeds(sources, options.seeds)
    asked = _ablations(options.ablations)
    found = [load_run(source, weights=options.weights).settings.weights for source in dict.fromkeys(sources)]
    settings = settings.model_copy(update={"weights": found[0]})
    target, data_dir = packs_of(target, data_dir or settings.data_dir)
    recipe = find_recipe(target, data_dir)
    labels = _labels(config, recipe, options)
    held = [name for name in config.tasks if name not in labels]
    again = _rehearsed(settings) if options.rehearse else None
    base = _settings(settings, recipe, data_dir, {**options.changes, "rehearse": again})
    old = _old_tasks(open_start(sources[0]), recipe, options.task, held)
    need_prepared([recipe], data_dir)
    for source in dict.fromkeys(by_seed.values()):
        planned = plan_run(base.model_copy(update={"start": source, "held": tuple(held)}))
    base = base.model_copy(update={"rehearse": planned.settings.rehearse})
    open_fabric(base)
    ensure_synthetic(planned.data, data_dir, quiet=quiet)
    train, val = (open_reader(base, recipe.name, split) for split in ("train", "val"))
    for name in labels:
        if not train.present(name).any():
            raise DataError(f"no training image of {recipe.name!r} has a label of {name!r}; leave it out of --labels")
    known = options.task in recipe.tasks
    measurable = known and bool(val.present(options.task).any())
    others = asked if METHODS[base.method].affinity and measurable else []
    oracle = [ORACLE] if measurable and train.present(options.task).any() else []
    trainings = [ZERO_SHOT, *others, *oracle]
    trained_on = str(config.content["data"])
    return Plan(
        recipe,
        by_seed,
        old.tasks[options.task],
        labels,
        held,
        old,
        trained_on,
        base,
        trainings,
        measurable,
        options.weights,
    )


def _same_kind(sources: Sequence[Path], options: ZeroShotOptions) -> tuple[RunConfig, TrainSettings]:
    """The runs' tasks and settings; n must be a task of theirs, and their method one that can be transferred."""
    config, settings = read_config(sources[0]), load(sources[0] / files.SETTINGS)
    for other in sources[1:]:
        found = read_config(other)
        if found.content["method"] != config.content["method"] or found.tasks != config.tasks:
            raise ConfigError(f"{str(other)!r} and {str(sources[0])!r} differ in method or tasks; wanted runs alike")
    if options.method is not None and options.method != settings.method:
        raise ConfigError(
            f"--method {options.method}: run {sources[0].name!r} is of method {settings.method!r}; leave it out, or "
            "name another run with --from"
        )
    if not METHODS[settings.method].transfers:
        known = listed(those(lambda m: m.transfers))
        raise ConfigError(
            f"run {sources[0].name!r} is of method {settings.method!r}; wanted one of method {known}, which have parts "
            "that all tasks share"
        )
    if options.task not in config.tasks:
        raise UsageError(
            f"run {sources[0].name!r} was not trained with task {options.task!r}; it has {', '.join(config.tasks)}."
            + near_matches(options.task, config.tasks)
        )
    return config, settings


def _seeds(sources: Sequence[Path], text: str | None) -> dict[int, Path]:
    seeds = list(range(len(sources))) if text is None else parse_seeds(text)
    if len(sources) not in (1, len(seeds)):
        raise UsageError(f"{len(sources)} runs in --from for {len(seeds)} seeds; wanted one run, or one for each seed")
    return dict(zip(seeds, list(sources) * (len(seeds) if len(sources) == 1 else 1), strict=True))


def _labels(config: RunConfig, recipe: Recipe, options: ZeroShotOptions) -> list[str]:
    """The tasks whose labels are used, in the order of the run."""
    possible = [name for name in config.tasks if name in recipe.tasks and name != options.task]
    asked = parse_list(options.labels)
    for name in asked or []:
        if name == options.task:
            raise UsageError(f"--labels names {name!r}, the task that is transferred without labels; leave it out")
        if name not in possible:
            where = "the run" if name not in config.tasks else repr(recipe.name)
            raise UsageError(
                f"--labels: {where} has no task {name!r}; both have {', '.join(possible) or 'none'}."
                + near_matches(name, possible)
            )
    labels = possible if asked is None else [name for name in possible if name in asked]
    if not labels:
        others = ", ".join(name for name in config.tasks if name != options.task) or "it has none"
        raise DataError(f"{recipe.name!r} has labels of none of the run's other tasks ({others}); wanted at least one")
    return labels


def _settings(run: TrainSettings, recipe: Recipe, data_dir: Path, changes: Mapping[str, Any]) -> TrainSettings:
    for key in changes:
        if key in FIXED or key in ARCHITECTURE:
            raise UsageError(f"--set {key}=...: that is decided by the run and the command; leave it out")
    unset = {"steps": None} if changes.get("epochs") and not changes.get("steps") else {}
    values = {**run.model_dump(), **DEFAULTS, **unset, **changes, "data": recipe.name, "data_dir": data_dir}
    settings = validate(values, "settings of the transfer")
    # As they are trained: from the run, with its A.
    trained = settings.model_copy(update={"start": data_dir, "affinity": "start", "troa_weights": False})
    check_read(dict.fromkeys(changes.keys() - {"rehearse"}, ""), [trained])
    return settings


def _rehearsed(run: TrainSettings) -> str:
    """The data set that the run was trained on."""
    if len(run.data_names) > 1:
        raise ConfigError(f"--rehearse: the run was trained on {run.data!r}; wanted a run of a single data set")
    return run.data


def _old_tasks(start: Start, recipe: Recipe, task: str, held: Sequence[str]) -> OldTasks:
    """What becomes of the tasks; n must mean the same on both sides."""
    if task not in recipe.tasks:
        return match_tasks(start, [recipe], held)
    # As if n were trained: then a new head says that it means something else.
    old = match_tasks(start, [recipe], [name for name in held if name != task])
    if task in old.fresh:
        raise ConfigError(
            f"task {task!r} of {recipe.name!r} is not that of run {start.path.name!r} (kind, channels, units, or "
            "classes without a class map in the recipe differ); a frozen head can only be judged by labels that mean "
            "the same"
        )
    return old


def _ablations(text: str) -> list[str]:
    asked = parse_list(text) or []
    for name in asked:
        if name not in ABLATIONS or asked.count(name) > 1:
            raise UsageError(f"--ablations {text!r}; wanted of {', '.join(ABLATIONS)}, each once")
    return asked
