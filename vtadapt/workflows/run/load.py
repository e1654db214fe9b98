"""What a run says of itself in ``config.json``, and back from a finished run to its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from vtadapt.errors import ConfigError, UsageError, clipped, quoted
from vtadapt.models.adding import set_apart
from vtadapt.models.backbones.weights import store
from vtadapt.models.backbones.weights.find import AUTO, RANDOM, find_backbone, need_digest
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import Added, load_with_added, need_same_weights, read_added
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.terminal.text import warn

if TYPE_CHECKING:
    from vtadapt.data.recipe.recipe import Recipe

FORMAT = 1
LARGEST = 65500  # pixels of a side, as of JPEG


def describe(
    settings: TrainSettings,
    recipes: Sequence[Recipe],
    tasks: Mapping[str, Task],
    model: MultitaskModel,
    backbone: Mapping[str, Any],
) -> dict[str, Any]:
    """The ``config.json`` of a run: all that is needed to rebuild its model and read its outputs.

    The size of its training crops is None where the data, which is not opened yet, decides it.

    Args:
        settings: of the run.
        recipes: of its data sets.
        tasks: that its network has.
        model: its network.
        backbone: what :func:`vtadapt.models.backbones.weights.find.about_backbone` tells.
    """
    return {
        "format": FORMAT,
        "data": settings.data,
        "size": settings.size and list(settings.size),
        "method": settings.method,
        "backbone": dict(backbone),
        **{"adapters": None, **model.architecture()},
        "tasks": {name: task.to_dict() for name, task in tasks.items()},
        "label_sets": {name: spec.label_set for r in recipes for name, spec in r.tasks.items() if name in tasks},
    }


class RunConfig(NamedTuple):
    """What :func:`describe` wrote, read back."""

    content: dict[str, Any]
    tasks: dict[str, Task]
    label_sets: dict[str, str]
    size: tuple[int, int]
    backbone: dict[str, Any]


def read_config(path: Path) -> RunConfig:
    """Read the ``config.json`` of the run in ``path``.

    Raises:
        ConfigError: missing, broken, or of another version.
    """
    config = files.read_json(path / files.CONFIG)
    if config.get("format") != FORMAT:
        found = quoted(config.get("format"))
        raise ConfigError(f"{path / files.CONFIG}: found format {found}, wanted {FORMAT}; train it again")
    try:
        tasks = {name: Task.from_dict(spec) for name, spec in config["tasks"].items()}
        size, backbone = (int(config["size"][0]), int(config["size"][1])), dict(config["backbone"])
        backbone |= {key: str(backbone[key]) for key in ("name", "weights", "sha256")}
        if (file := backbone.get("file")) is not None:
            known = {"path": str(file["path"]), "bytes": int(file["bytes"]), "sha256": str(file["sha256"])}
            backbone["file"] = {**file, **known}
        label_sets = {name: str(config.get("label_sets", {}).get(name, "")) for name in tasks}
        if not all(8 <= side <= LARGEST for side in size):
            raise ValueError(f"size {size[0]} x {size[1]}, wanted sides of 8 to {LARGEST} pixels")
        if wrong := next((name for name, task in tasks.items() if name != task.name), None):
            raise ValueError(f"task {quoted(wrong)} is named {quoted(tasks[wrong].name)}")
    except (AttributeError, KeyError, TypeError, IndexError, ValueError, OverflowError, ConfigError) as error:
        reason = clipped(" ".join(str(error).split()), 300)
        raise ConfigError(f"{path / files.CONFIG}: missing or broken entry ({reason}); train the run again") from error
    return RunConfig(config, tasks, label_sets, size, backbone)


@dataclass
class Loaded:
    """A finished run, ready to predict."""

    path: Path
    settings: TrainSettings
    tasks: dict[str, Task]
    label_sets: dict[str, str]
    model: MultitaskModel
    size: tuple[int, int]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Task -> from which probability on a pixel is "yes", as its validation split chose; none in runs of old."""
    added: Mapping[str, Added] = field(default_factory=dict)
    """Those of the tasks that were added to the run, see ``vtadapt train --add-task``."""
    cuts: Mapping[str, float] = field(default_factory=dict)
    """Task -> the threshold at which its predictions are made yes or no; others stay probabilities."""

    def deciding(self) -> Loaded:
        """The run with predictions made yes or no where their threshold is known; what is not is told."""
        if not any(task.behaviour.yes_or_no for task in self.tasks.values()):
            warn(f"run {self.path.name!r} has no task of yes or no; nothing is cut at a threshold")
        for name, task in self.tasks.items():
            if task.behaviour.yes_or_no and name not in self.thresholds:
                warn(
                    f"the threshold of {name} is not known of run {self.path.name!r}, which was trained before it was "
                    f"stored, so it stays a probability; vtadapt eval {self.path} finds it"
                )
        return replace(self, cuts=self.thresholds)


def load_run(
    path: Path, device: str = "cpu", *, weights: str | None = None, more: Mapping[str, Task] | None = None
) -> Loaded:
    """Rebuild a run's model, load its best weights and those of its added tasks, and bring it to a device.

    Args:
        path: of the run.
        device: torch device.
        weights: where the weights of its backbone are now: a file, or "timm" or "hf-hub:ORG/NAME", which download.
            None: where they were last seen.
        more: tasks that the network gets besides, whose own parts are new.

    Raises:
        ConfigError: the folder is not a finished run, its backbone changed or is gone, or its checkpoint does not fit.
        UsageError: a device that is not there.
    """
    found, settings, added = read_config(path), load(path / files.SETTINGS), read_added(path)
    tensors, _ = checkpoint.read_tensors(path / files.MODEL)
    need_same_weights(path, tensors, added)
    kept = settings.keeps_backbone
    place = find_backbone(path, found.backbone, settings.weights, weights, kept=kept)
    settings = settings.model_copy(update={"weights": place})
    behind = {**{name: each.task for name, each in added.items()}, **(more or {})}
    tasks = {**found.tasks, **behind}
    model = build_model(settings, tasks)
    set_apart(model, [*behind])
    digest = model.digest()
    if not kept:
        need_digest(path, found.backbone, place, digest)
    if digest == found.backbone["sha256"] and place not in (AUTO, RANDOM):
        store.remember(Path(place), digest, settings.encoder)
    _tell_cut(path)
    load_with_added(model, tensors, added, path / files.MODEL)
    bring(model.eval(), device)
    label_sets = {**found.label_sets, **{name: each.label_set for name, each in added.items()}}
    return Loaded(path, settings, tasks, label_sets, model, found.size, _thresholds(path, tasks, added), added)


def _tell_cut(path: Path) -> None:
    """Say which weights these are, of a run that is lengthened and not done yet."""
    try:
        results = files.read_json(path / files.RESULTS) if (path / files.RESULTS).is_file() else {}
    except ConfigError:  # a damaged file of results ends no prediction
        return
    if (reached := files.step_beyond_results(path, results)) is not None:
        warn(
            f"run {path.name!r} is being lengthened, or was cut then, at step {reached}: these are its weights of step "
            f"{results['steps']}; vtadapt train --resume {path} goes on"
        )


def bring(model: nn.Module, device: str) -> None:
    """Move a network to a torch device.

    Raises:
        UsageError: a device that is not there.
    """
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # what torch raises for a device that it lacks or does not know
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used ({reason}); wanted cpu, cuda, cuda:1, mps ...") from error


def _thresholds(path: Path, tasks: Mapping[str, Task], added: Mapping[str, Added]) -> dict[str, float]:
    """Those that the end of training chose, or else ``vtadapt eval``; of the first data set that has them."""
    found: dict[str, float] = {}
    contents = [each.about.get("thresholds") for each in added.values()]
    for file in (path / files.RESULTS, path / "eval-val.json"):
        try:
            contents.append(files.read_json(file).get("thresholds") if file.is_file() else None)
        except ConfigError:  # a damaged file of results ends no prediction; commands that want it say so themselves
            continue
    for content in contents:
        for by_task in content.values() if isinstance(content, dict) else ():
            for name, value in by_task.items() if isinstance(by_task, dict) else ():
                if name in tasks and isinstance(value, int | float):
                    found.setdefault(name, float(value))
    return found
