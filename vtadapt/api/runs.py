"""From a name to a model: load a run, train one, or create one for a loop of one's own; and prepare data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.api.model import Model
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.tasks import TASKS, Task
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.made import OF_THE_NETWORK, create_run
from vtadapt.workflows.run.settings import validate
from vtadapt.workflows.run.settings.reading import check_read

PathLike = str | os.PathLike[str]


def load(
    run: PathLike | None = None,
    *,
    run_dir: PathLike = "runs",
    weights: PathLike | None = None,
    device: str = "cpu",
    download: bool = False,
) -> Model:
    """Load a finished run.

    >>> vtadapt.load("demo")  # doctest: +ELLIPSIS
    Model('...demo', tasks=['semseg', 'depth', 'normals', 'edges'])

    Args:
        run: its folder, its name in ``run_dir``, "owner/name" of the Hugging Face Hub, or "demo" for the bundled one;
            None for the newest in ``run_dir``, and the bundled one where there is none.
        run_dir: folder of the runs.
        weights: of the run's backbone, where they are not found by themselves: a file, or "timm" or "hf-hub:ORG/NAME",
            which download.
        device: torch device: "cpu", "cuda", "cuda:1", "mps".
        download: fetch "owner/name" from the Hub; otherwise it must be in its cache already.

    Raises:
        ConfigError: no such run, or its files do not fit together.
        UsageError: a device that is not there.
    """
    if download:
        from vtadapt.workflows.hub.pull import pull  # here: few need it

        pull("" if run is None else os.fspath(run))
    found = find_run(None if run is None else os.fspath(run), Path(run_dir))
    return Model(load_run(found, device, weights=None if weights is None else os.fspath(weights)), device)


def train(data: PathLike, *, quiet: bool = True, device: str = "cpu", **settings: Any) -> Model:
    """Train a run, as ``vtadapt train`` does, and load it.

    >>> model = vtadapt.train("rooms", tasks=["depth"], steps=100)  # doctest: +SKIP

    Args:
        data: a data set, or several joined with "+"; the path of a recipe, or of a pack.
        quiet: no progress on stderr.
        device: that the result is loaded to; what it is trained on is the setting ``accelerator``.
        settings: any of those that ``vtadapt settings`` lists.

    Raises:
        ConfigError: a setting that does not exist, does not fit, or that the method does not read.
        DataError: the data is not prepared, or lacks labels.
    """
    from vtadapt.workflows.train.train import train as train_run  # here: it takes seconds, which loading need not wait

    chosen = validate({"data": os.fspath(data), **settings}, "train")
    check_read({key: "" for key in settings if chosen.changed(key)}, [chosen])
    return Model(load_run(Path(train_run(chosen, quiet=quiet)["run"]), device), device)


def create(
    tasks: Sequence[str | Task] | Mapping[str, Task],
    *,
    size: tuple[int, int] = (128, 128),
    device: str = "cpu",
    **settings: Any,
) -> Model:
    """A model that nothing was trained of yet but its backbone, for a training loop of one's own.

    >>> model = vtadapt.create(["depth", vtadapt.make_task("parts", "classes", classes=["head", "hand"])])
    >>> {name: tuple(logits.shape) for name, logits in model.network(torch.zeros(2, 3, 64, 96)).items()}
    {'depth': (2, 1, 64, 96), 'parts': (2, 2, 64, 96)}

    Args:
        tasks: made by :func:`vtadapt.make_task`, or names of built-in ones: semseg, depth, normals, edges.
        size: (height, width) of the pictures it will be trained on, which ``predict`` works near by default.
        device: torch device.
        settings: of the network, as for ``vtadapt train``: method, backbone, weights ("timm" downloads), decoder, head,
            adapted_blocks, seed ...

    Raises:
        ConfigError: a setting that is none of the network's, or does not fit; an unknown task.
        UsageError: a device that is not there.
    """
    each = tasks.values() if isinstance(tasks, Mapping) else tasks
    chosen = [_task(one) for one in each]
    names = [task.name for task in chosen]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"tasks {names}; wanted one or more, of different names")
    wrong = next((key for key in settings if key not in OF_THE_NETWORK), None)
    if wrong is not None:
        raise ConfigError(
            f"setting {wrong!r} is none of the network's, which alone is made here; wanted some of "
            f"{', '.join(OF_THE_NETWORK)}.{near_matches(wrong, OF_THE_NETWORK)}"
        )
    given = validate({"data": "own", "size": size, **settings}, "create")
    check_read({key: "" for key in settings if given.changed(key)}, [given])
    return Model(create_run(given, {task.name: task for task in chosen}), device)


def _task(task: str | Task) -> Task:
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        found = f"unknown task {task!r}; built-in are {', '.join(TASKS)}, and vtadapt.make_task makes any other"
        raise ConfigError(f"{found}.{near_matches(str(task), TASKS)}")
    return TASKS[task]


def prepare_data(
    recipe: PathLike,
    source: PathLike | Sequence[PathLike] | None = None,
    *,
    data_dir: PathLike = "data",
    quiet: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Read a data set, check it and store it as a pack, as ``vtadapt prepare-data`` does.

    >>> vtadapt.prepare_data("rooms", data_dir="small", limit=2, size=(32, 32), splits=["val"])["name"]
    'rooms'

    Args:
        recipe: the name of a shipped one (``vtadapt data-sets``), or the path of your own.
        source: the folder or the archives that it reads; None for synthetic sets.
        data_dir: the pack is written to ``data_dir/NAME``.
        quiet: no progress on stderr.
        options: splits, size, tasks, label_set, limit, workers, skip_broken, force, shard_size,
            follow_links.

    Returns:
        The pack's manifest: what is in it, split by split.

    Raises:
        UsageError: an option that is none, or that does not fit.
        DataError: files that are missing or broken.
    """
    from dataclasses import fields

    from vtadapt.data.prepare.options import PrepareOptions
    from vtadapt.workflows.prepare.prepare_data import prepare_data as work

    known = [field.name for field in fields(PrepareOptions)]
    wrong = next((key for key in options if key not in known), None)
    if wrong is not None:
        raise UsageError(f"unknown option {wrong!r}; wanted some of {', '.join(known)}.{near_matches(wrong, known)}")
    given = [] if source is None else [source] if isinstance(source, str | os.PathLike) else source
    files = [Path(each) for each in given]
    chosen = PrepareOptions(**options)
    return work(os.fspath(recipe), files[0] if len(files) == 1 else files or None, Path(data_dir), chosen, quiet=quiet)
