"""From settings to what a run needs: Fabric, tasks, model; and back from a finished run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from vtadapt.data.recipe import Recipe
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbone import SwinBackbone, load_backbone
from vtadapt.models.peers import build_peer
from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.models.probe import LinearProbe
from vtadapt.tasks import Task, make_task
from vtadapt.workflows import runs
from vtadapt.workflows.settings import TrainSettings, load

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FORMAT = 1

Model = AdaptedModel | LinearProbe | Peer
ADAPTERS_ONLY = ("embedding_dim", "reduction", "adapted_blocks", "decoder_sharing", "train_blocks")
NETWORKS = {"consistency": "mtl-cnn", "tawt": "mtl-cnn"}  # methods that train another one's network in their own way


def open_fabric(settings: TrainSettings) -> Fabric:
    """Start Fabric with the settings' device, precision and number of processes."""
    from lightning_fabric import Fabric  # here, since it takes more than a second, which predicting need not wait

    strategy = "ddp" if settings.devices * settings.num_nodes > 1 else "auto"
    if strategy == "ddp" and settings.held:  # what is of a held task alone gets no gradient
        strategy = "ddp_find_unused_parameters_true"
    precision = resolve_precision(settings.precision, settings.accelerator)
    if strategy != "auto":  # depthwise kernels: their one input channel has another stride, which changes nothing
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=strategy,
            precision=precision,  # type: ignore[arg-type]
        )
    except (ValueError, RuntimeError, TypeError) as error:  # the kinds that Fabric raises for what is not there
        asked = f"accelerator {settings.accelerator!r}, {settings.devices} devices, precision {precision!r}"
        raise ConfigError(f"{asked}: not possible on this machine ({error})") from error
    fabric.launch()
    return fabric


def is_first_rank() -> bool:
    """Whether this process is the one that speaks for all of a run's."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """Turn "auto" into bf16 autocast where the hardware has it, else float32.

    On a CPU that means AMX: without it bf16 is emulated and several hundred times slower than float32.
    """
    cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    cpu = not cuda and accelerator in ("auto", "cpu")
    amx = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    if precision == "auto":
        return "bf16-mixed" if (cuda and torch.cuda.is_bf16_supported()) or (cpu and amx) else "32-true"
    if cpu and precision == "bf16-mixed" and not amx:
        print("warning: this CPU has no bf16 units (AMX); --precision 32-true is much faster here", file=sys.stderr)
    return precision


def build_tasks(recipes: Sequence[Recipe], wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of a run, in the order of ``wanted`` or of the recipes.

    Args:
        recipes: of the data sets that are trained on together.
        wanted: names; None for all that any of the recipes declares.

    Raises:
        UsageError: a task that no data set declares (with near matches).
        ConfigError: a wanted task that two of them declare differently, or no task at all.
    """
    declared: dict[str, Any] = {}
    for recipe in recipes:
        for name, spec in recipe.tasks.items():
            same = _meaning(declared.setdefault(name, spec)) == _meaning(spec)
            if not same and (wanted is None or name in wanted):
                raise ConfigError(
                    f"task {name!r} of {recipe.name!r} is not the {name!r} of {recipes[0].name!r} "
                    "(kind, classes or units differ); train them apart, or leave it out with --tasks"
                )
    names = list(declared) if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in declared:
            sets = "+".join(r.name for r in recipes)
            raise UsageError(
                f"unknown task {name!r} for {sets!r}; it has {', '.join(declared)}.{near_matches(name, declared)}"
            )
    if not names:
        raise ConfigError("no task given; wanted at least one in --tasks")
    return {name: _task(name, declared[name]) for name in names}


def _meaning(spec: Any) -> tuple[Any, ...]:
    """What must agree for two data sets' tasks of one name to be the same task."""
    return spec.kind, spec.classes, spec.distance, spec.out_channels, spec.units, spec.max_value


def _task(name: str, spec: Any) -> Task:
    return make_task(
        name,
        spec.kind,
        classes=spec.classes,
        colours=spec.colours,
        units=spec.units,
        loss=spec.loss,
        distance=spec.distance,
        channels=spec.channels,
        max_value=spec.max_value,
        weight=spec.weight,
    )


def build_model(settings: TrainSettings, tasks: Mapping[str, Task]) -> Model:
    """The model that the settings describe; initial values are drawn from the seed.

    Raises:
        ConfigError: a setting that the method does not know, or a backbone that it cannot use.
    """
    channels = {name: task.channels for name, task in tasks.items()}
    method = settings.method
    if method not in ("adapters", "linear"):
        return _build_peer(settings, channels)
    if settings.decoder == "aspp":
        raise ConfigError(f"decoder 'aspp' is not for method {method!r}; wanted light or swin")
    backbone = load_swin(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if method == "linear":
            return LinearProbe(backbone, channels)
        config = AdapterConfig(
            embedding_dim=settings.embedding_dim,
            reduction=settings.reduction,
            decoder=settings.decoder or "light",
            decoder_width=settings.decoder_width,
            decoder_sharing=settings.decoder_sharing,
            train_blocks=settings.train_blocks,
        )
        return AdaptedModel(backbone, channels, config)


def load_swin(settings: TrainSettings) -> SwinBackbone:
    """The backbone of adapters and of the probe, as it is before training.

    Raises:
        ConfigError: it is no Swin, or has fewer blocks than ``adapted_blocks``.
    """
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    if not isinstance(backbone, SwinBackbone):
        raise ConfigError(
            f"method {settings.method!r} wants a Swin of timm or swin_pico; found the CNN {settings.encoder!r}"
        )
    if settings.adapted_blocks is not None:
        backbone.adapt_last(settings.adapted_blocks)
    return backbone


def _build_peer(settings: TrainSettings, channels: Mapping[str, int]) -> Peer:
    for key in ADAPTERS_ONLY:
        if getattr(settings, key) != type(settings).model_fields[key].default:
            raise ConfigError(f"setting {key!r} is for method 'adapters', not for {settings.method!r}; leave it out")
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    config = PeerConfig(decoder=settings.decoder, decoder_width=settings.decoder_width, reference=settings.reference)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build_peer(NETWORKS.get(settings.method, settings.method), backbone, channels, config)


def digest(model: Model) -> str:
    """SHA-256 of the weights of a model's backbone, see :meth:`SwinBackbone.digest`."""
    return str(cast(Any, model.backbone).digest())


def describe(
    settings: TrainSettings, recipes: Sequence[Recipe], tasks: Mapping[str, Task], model: Model, size: tuple[int, int]
) -> dict[str, Any]:
    """The ``config.json`` of a run: all that is needed to rebuild its model and read its outputs."""
    return {
        "format": FORMAT,
        "data": settings.data,
        "size": list(size),
        "method": settings.method,
        "backbone": {"name": settings.encoder, "weights": settings.weights, "sha256": digest(model)},
        "adapters": asdict(model.config) if isinstance(model, AdaptedModel) else None,
        **({"network": asdict(model.config)} if isinstance(model, Peer) else {}),
        "tasks": {name: task.to_dict() for name, task in tasks.items()},
        "label_sets": {name: spec.label_set for r in recipes for name, spec in r.tasks.items() if name in tasks},
    }


class RunConfig(NamedTuple):
    """What :func:`describe` wrote, read back."""

    content: dict[str, Any]
    tasks: dict[str, Task]
    label_sets: dict[str, str]
    size: tuple[int, int]
    sha256: str


def read_config(path: Path) -> RunConfig:
    """Read the ``config.json`` of the run in ``path``.

    Raises:
        ConfigError: missing, broken, or of another version.
    """
    config = runs.read_json(path / runs.CONFIG)
    if config.get("format") != FORMAT:
        raise ConfigError(
            f"{path / runs.CONFIG}: found format {config.get('format')!r}, wanted {FORMAT}; train it again"
        )
    try:
        tasks = {name: Task.from_dict(spec) for name, spec in config["tasks"].items()}
        size, sha256 = (int(config["size"][0]), int(config["size"][1])), str(config["backbone"]["sha256"])
        label_sets = {name: str(config.get("label_sets", {}).get(name, "")) for name in tasks}
    except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigError(f"{path / runs.CONFIG}: missing or broken entry ({error}); train the run again") from error
    return RunConfig(config, tasks, label_sets, size, sha256)


@dataclass
class Loaded:
    """A finished run, ready to predict."""

    path: Path
    settings: TrainSettings
    tasks: dict[str, Task]
    label_sets: dict[str, str]
    model: Model
    size: tuple[int, int]


def load_run(path: Path) -> Loaded:
    """Rebuild a run's model and load its best weights.

    Raises:
        ConfigError: the folder is not a finished run, its backbone changed, or its checkpoint does not fit.
    """
    found, settings = read_config(path), load(path / runs.SETTINGS)
    model = build_model(settings, found.tasks)
    if digest(model) != found.sha256:
        raise ConfigError(
            f"backbone {settings.encoder!r} ({settings.weights}) is not the one that run {path.name!r} was trained "
            f"with (sha256 {found.sha256[:12]}...); give it the same weights, or train again"
        )
    tensors, _ = runs.read_tensors(path / runs.MODEL)
    runs.load_into(model, tensors, path / runs.MODEL)
    model.eval()
    return Loaded(path, settings, found.tasks, found.label_sets, model, found.size)
