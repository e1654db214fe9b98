"""Settings of a training run: flag > environment > file > default; an unknown key is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vtadapt.errors import ConfigError, UsageError, near_matches

ENV_PREFIX = "VTADAPT_"

Side = Annotated[int, Field(ge=8)]
Weight = Annotated[float, Field(ge=0)]

METHODS = ("adapters", "linear", "stl", "mtl-cnn", "consistency", "xtam", "tawt", "mult")
CONVOLUTIONAL = frozenset({"mtl-cnn", "consistency", "xtam", "tawt"})  # methods whose default encoder is a CNN


LR, ADAPTERS_LR = 2e-3, 8e-3
"""Peak learning rates: of networks trained end to end, and of adapters on a frozen backbone (see docs/compare.md)."""

PAPERS_ADAPTATION = {"adversarial_warmup": 0.0, "class_ratios": False, "match_camera": False}
"""What turns off all that adapting does besides the paper's loss."""


class TrainSettings(BaseModel):
    """Everything that decides a run; saved as ``settings.yaml`` in the run folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str = Field(description="data set, or several joined with '+'")
    tasks: tuple[str, ...] | None = Field(None, description="tasks to train; default: all that the data declares")
    data_dir: Path = Field(Path("data"), description="folder of the packs")
    run_dir: Path = Field(Path("runs"), description="folder of the runs")
    method: Literal["adapters", "linear", "stl", "mtl-cnn", "consistency", "xtam", "tawt", "mult"] = Field(
        "adapters", description="adapters, a linear probe, or another system"
    )
    backbone: str | None = Field(
        None, description="swin_pico, resnet_pico (bundled), a Swin or ResNet of timm; default: the method's"
    )
    weights: str = Field("auto", description="auto, random, timm (downloads) or a file")
    embedding_dim: int | None = Field(None, ge=1, description="size of the task embedding; default w^3")
    reduction: int = Field(4, ge=1, description="bottleneck C -> C/r")
    adapted_blocks: int | None = Field(
        None, ge=1, description="adapted blocks of the last stage but one; default: the last ceil(4/18) of it"
    )
    decoder: Literal["light", "swin", "aspp"] | None = Field(
        None, description="light, the paper's Swin decoder, or aspp (other systems only); default: the method's"
    )
    decoder_width: int = Field(48, ge=8, description="channels of the light and aspp decoders")
    decoder_sharing: Literal["shared", "per_task"] = Field("shared", description="one decoder, or one per task")
    train_blocks: Literal["adapters", "full", "all"] = Field(
        "adapters", description="adapters only; with the adapted blocks; everything"
    )
    affinity: Literal["troa", "identity", "uniform", "start"] = Field(
        "troa",
        description="A, which mixes the task embeddings: learned, each task alone, all alike, or that of the run that "
        "this one starts from, kept as it is",
    )
    start: Path | None = Field(None, description="a finished run, by path or name, whose weights training starts from")
    held: tuple[str, ...] = Field(
        (),
        description="tasks of that run whose labels are not used, and whose own weights (embedding, head, decoder of "
        "its own) stay as they are",
    )
    rehearse: str | None = Field(
        None,
        description="with start: a data set that run was trained on, of which every step has a batch, too, with the "
        "labels of all tasks whose heads are kept",
    )
    troa_weights: bool = Field(False, description="weight the losses by TROA's W")
    troa_every: int | None = Field(None, ge=1, description="steps between updates of A and W; default 6 (T + 1)")
    troa_momentum: float = Field(0.9, ge=0, lt=1, description="weight that the past keeps at each update of A")
    troa_eta: float = Field(0.1, ge=0, description="step size of W")
    tawt_every: int | None = Field(None, ge=1, description="steps between TAWT's mirror steps; default 6 (T + 1)")
    tawt_eta: float = Field(1.0, ge=0, description="step size of TAWT's weights")
    cross_task_share: float = Field(
        0.5, gt=0, description="consistency: the cross-task networks are trained first, for this share of the steps"
    )
    cross_task_width: int = Field(12, ge=4, description="consistency: channels of the cross-task networks")
    target: str | None = Field(None, description="adapt to this data set by its images alone, see vtadapt adapt")
    label_space: str | None = Field(
        None, description="SOURCE>TARGET: on the classes that these two data sets share, see vtadapt adapt"
    )
    adversarial_weight: float = Field(0.005, ge=0, description="factor of the adversarial loss on target images")
    adversarial_warmup: float = Field(
        0.3, ge=0, lt=1, description="share of the steps in which that factor rises from 0, evenly"
    )
    class_ratios: bool = Field(
        True,
        description="adapt: weigh the source's classes by how much more often they are predicted on the target, once "
        "lambda has risen and 25 steps are seen",
    )
    match_camera: bool = Field(
        False,
        description="adapt: scale the source's distances by the focal lengths, where both recipes have intrinsics",
    )
    discriminator_lr: float = Field(1e-3, gt=0, description="learning rate of the discriminators")
    discriminator_width: int = Field(64, ge=4, description="channels after a discriminator's first convolution")
    reference: str | None = Field(None, description="mult: the task whose attention all share; default: the first")
    steps: int | None = Field(None, ge=1, description="end after so many steps, also within an epoch")
    epochs: int | None = Field(
        None,
        ge=1,
        description="epochs, each of as many images as the sets hold together; default: about 1000 steps a set",
    )
    batch_size: int = Field(8, ge=1, description="images per step and rank")
    lr: float | None = Field(
        None, gt=0, description="peak learning rate of what is added to the backbone; default: the method's"
    )
    backbone_lr_scale: float = Field(0.25, gt=0, description="factor on lr for backbone weights that are trained")
    shared_lr_scale: float = Field(1.0, gt=0, description="factor on lr for what all tasks share")
    own_first: float = Field(
        0.0, ge=0, lt=1, description="share of the steps before which only what is of one task alone is trained"
    )
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with rising learning rate")
    clip_norm: float = Field(5.0, gt=0, description="largest gradient norm")
    loss_weights: dict[str, Weight] = Field(default_factory=dict, description="task -> weight; default: the task's own")
    scale: tuple[float, float] = Field((1.0, 1.3), description="range of the random zoom")
    flip: bool = True
    colour_jitter: float = Field(0.2, ge=0, le=1)
    size: tuple[Side, Side] | None = Field(None, description="height, width of training crops; default: the pack's")
    evals: int = Field(6, ge=1, description="evaluations during training")
    val_images: int | None = Field(100, ge=1, description="images of the evaluation after each epoch")
    seed: int = Field(0, ge=0)
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    accelerator: str = "auto"
    devices: int = Field(1, ge=1)
    num_nodes: int = Field(1, ge=1)
    workers: int = Field(0, ge=0, description="processes that load data")
    cache: bool = Field(True, description="keep decoded samples in memory")
    compile: bool = False
    log_steps: int = Field(10, ge=1, description="steps between records of the losses")
    checkpoint_steps: int = Field(200, ge=1, description="steps between checkpoints within an epoch")

    @field_validator("tasks", "held", mode="before")
    @classmethod
    def _split_tasks(cls, value: Any) -> Any:
        return tuple(t.strip() for t in value.split(",") if t.strip()) if isinstance(value, str) else value

    @field_validator("size", mode="before")
    @classmethod
    def _split_size(cls, value: Any) -> Any:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("scale")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("wanted 0 < lowest <= highest")
        return value

    @property
    def data_names(self) -> tuple[str, ...]:
        """The data sets, in order."""
        return tuple(name.strip() for name in self.data.split("+"))

    @property
    def encoder(self) -> str:
        """The name of the backbone: what was asked for, else the method's default."""
        return self.backbone or ("resnet_pico" if self.method in CONVOLUTIONAL else "swin_pico")

    @property
    def peak_lr(self) -> float:
        """The peak learning rate: what was asked for, else the method's."""
        frozen = self.method == "adapters" and self.train_blocks == "adapters"
        return self.lr or (ADAPTERS_LR if frozen else LR)

    def to_yaml(self) -> str:
        """The settings as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def resolve(flags: Mapping[str, Any], file: Path | None, environ: Mapping[str, str] = os.environ) -> TrainSettings:
    """Merge flags over environment over file over defaults.

    Args:
        flags: what was typed, and nothing else; a value may be None.
        file: YAML file with any of the keys.
        environ: variables ``VTADAPT_<KEY>`` are read; values are YAML.

    Raises:
        ConfigError: unknown key (with near matches), a value that does not fit, an unreadable file.
        UsageError: no data set is named anywhere.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_read(file))
    for key in TrainSettings.model_fields:
        if ENV_PREFIX + key.upper() in environ:
            values[key] = _value(environ[ENV_PREFIX + key.upper()], ENV_PREFIX + key.upper())
    values.update(flags)
    if "data" not in values:
        raise UsageError("no data set given; type for example: vtadapt train rooms (known: vtadapt data-sets)")
    return validate(values, "settings" if file is None else f"settings {os.fspath(file)!r}")


def validate(values: Mapping[str, Any], where: str) -> TrainSettings:
    """Check values into settings; errors become one line that names the key."""
    keys = TrainSettings.model_fields
    for key in map(str, values):
        if key not in keys:
            raise ConfigError(f"{where}: unknown key {key!r};{near_matches(key, keys) or ' see vtadapt train --help'}")
    try:
        return TrainSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key} = {first.get('input')!r}: {reason}") from error


def load(path: Path) -> TrainSettings:
    """Read the ``settings.yaml`` of a run; what it does not name is what was done before there was a setting for it."""
    found = _read(path)
    before = PAPERS_ADAPTATION if found.get("target") else {}
    return validate({"affinity": "identity", **before, **found}, f"settings {os.fspath(path)!r}")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot read settings {os.fspath(path)!r}: {reason}; wanted a YAML mapping") from error
    if not isinstance(values, dict):
        raise ConfigError(f"settings {os.fspath(path)!r} hold a {type(values).__name__}; wanted a YAML mapping of keys")
    return values


def parse_list(text: str | None) -> list[str] | None:
    """Split what was typed with commas; None where nothing was."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read (height, width) from "HEIGHTxWIDTH"; None where nothing was typed.

    Raises:
        UsageError: something else was typed.
    """
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(f"size {text!r}; wanted HEIGHTxWIDTH such as 240x320") from error
    if min(height, width) < 1:
        raise UsageError(f"size {text!r}; both sides must be positive")
    return height, width


def parse_assignments(pairs: list[str], flag: str = "--set") -> dict[str, Any]:
    """Read the KEY=VALUE of ``--set`` (or another ``flag``); values are YAML.

    Raises:
        UsageError: no equals sign, or a value that is not YAML.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{flag} {pair!r}; wanted KEY=VALUE, for example --set decoder_width=64")
        values[key.strip()] = _value(text, f"{flag} {key.strip()}")
    return values


def parse_by_method(pairs: list[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read ``--set`` of a command with several methods: settings of all (KEY=VALUE), and of one (METHOD:KEY=VALUE).

    Raises:
        UsageError: see :func:`parse_assignments`.
    """
    common: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}
    for key, value in parse_assignments(pairs).items():
        method, _, name = key.rpartition(":")
        (own.setdefault(method, {}) if method else common)[name] = value
    return common, own


def _value(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} = {text!r}: not a YAML value ({str(error).splitlines()[0]}); quote it") from error
