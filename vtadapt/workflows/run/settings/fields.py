"""The settings of a run, in groups: every field with its meaning, its bounds and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, field_validator

from vtadapt.errors import near_matches
from vtadapt.workflows.run.methods import DEFAULT, LR, METHODS
from vtadapt.workflows.run.settings.group import Group, number
from vtadapt.workflows.run.settings.method_groups import (
    AdaptersSettings,
    ConsistencySettings,
    DptSettings,
    LoraSettings,
    MultSettings,
    TawtSettings,
)
from vtadapt.workflows.run.settings.optimisation import MOST, OptimisationSettings
from vtadapt.workflows.run.settings.parse import parse_size
from vtadapt.workflows.run.settings.transfer_groups import SelfTrainingSettings, TransferSettings

LARGEST_SEED = 2**32 - 1  # from which all that is random draws without overflow
SEPARATOR = ">"  # between the two data sets of a label space
WIDEST = 8192  # channels: some ten times what any decoder has
Side = Annotated[int, BeforeValidator(number), Field(ge=8, le=16384)]
Zoom = Annotated[float, Field(gt=0, le=128)]


class DataSettings(Group):
    """What is trained on, and what is done to the images."""

    data: str = Field(description="data set, or several joined with '+'")
    tasks: tuple[str, ...] | None = Field(None, description="tasks to train; default: all that the data declares")
    data_dir: Path = Field(Path("data"), description="folder of the packs")
    size: tuple[Side, Side] | None = Field(None, description="height, width of training crops; default: the pack's")
    scale: tuple[Zoom, Zoom] = Field((1.0, 1.3), description="range of the random zoom")
    flip: bool = Field(True, description="mirror half of the images")
    colour_jitter: float = Field(0.2, ge=0, le=1, description="how far brightness, contrast and colours are moved")
    augment_views: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="so many pictures are made of each image, by turns; default: another one in every epoch",
    )
    cache: bool = Field(True, description="keep decoded samples in memory, up to 2 GiB of a data set")
    cache_features: Literal["off", "memory", "disk"] = Field(
        "off",
        description="keep what the frozen part of the encoder makes of each picture, and compute that once: in memory, "
        "or on disk, where later runs find it",
    )
    workers: int = Field(0, ge=0, le=512, description="processes that load data")


class ModelSettings(Group):
    """The network."""

    method: str = Field(DEFAULT, description=", ".join(METHODS))
    backbone: str | None = Field(
        None, description="swin_lite, cnn_lite (bundled), or an encoder of timm by its name; default: the method's"
    )
    weights: str = Field("auto", description="auto, random, timm (downloads) or a file")
    decoder: Literal["light", "swin", "aspp"] | None = Field(
        None, description="light, the paper's Swin decoder, or aspp (other systems only); default: the method's"
    )
    decoder_width: int = Field(48, ge=8, le=WIDEST, description="channels of the light and aspp decoders")
    head: Literal["subpixel", "overlap", "convex", "stem", "x2"] = Field(
        "subpixel",
        description="what draws pixels after light and aspp decoders: each token its own (subpixel), or blended with "
        "what its neighbours say (overlap), weighted means of tokens (convex), a stem on the image, or doubling",
    )


class AffinitySettings(Group):
    """The matrix A, which mixes the task embeddings, and how TROA learns it."""

    affinity: Literal["troa", "identity", "uniform", "start"] = Field(
        "troa",
        description="A: learned, each task alone, all alike, or that of the run that this one starts from, kept as it "
        "is",
    )
    troa_weights: bool = Field(False, description="weight the losses by TROA's W")
    troa_every: int | None = Field(
        None, ge=1, le=MOST, description="steps between updates of A and W; default 6 (T + 1)"
    )
    troa_momentum: float = Field(0.9, ge=0, lt=1, description="weight that the past keeps at each update of A")
    troa_eta: float = Field(0.1, ge=0, le=1e3, description="step size of W")


class RunSettings(Group):
    """Where and how it computes, and what it writes."""

    run_dir: Path = Field(Path("runs"), description="folder of the runs")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of initial values, order and augmentation")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16 where the hardware has it, else float32"
    )
    accelerator: str = Field("auto", description="auto, cpu, gpu or mps")
    devices: int = Field(1, ge=1, le=1024, description="processes per node, one a device")
    num_nodes: int = Field(1, ge=1, le=65536, description="machines")
    compile: bool = Field(False, description="compile the network with torch.compile")
    evals: int = Field(6, ge=1, le=MOST, description="evaluations during training")
    val_images: int | None = Field(100, ge=1, le=MOST, description="images of the evaluation after each epoch")
    log_steps: int = Field(10, ge=1, le=MOST, description="steps between records of the losses")
    log_pictures: int = Field(
        2,
        ge=0,
        le=64,
        description="images whose predictions are shown in TensorBoard or the tracker at each evaluation, beside the "
        "distribution of the weights; 0: neither",
    )
    tracker: Literal["wandb", "trackio"] | None = Field(
        None, description="also record with Weights & Biases (sends all to its server) or Trackio (on this machine)"
    )
    checkpoint_steps: int = Field(200, ge=1, le=MOST, description="steps between checkpoints within an epoch")


GROUPS: dict[str, type[Group]] = {
    "data": DataSettings,
    "model": ModelSettings,
    "optimisation": OptimisationSettings,
    "affinity": AffinitySettings,
    "transfer": TransferSettings,
    "self-training": SelfTrainingSettings,
    "run": RunSettings,
    "adapters": AdaptersSettings,
    "dpt": DptSettings,
    "lora": LoraSettings,
    "consistency": ConsistencySettings,
    "tawt": TawtSettings,
    "mult": MultSettings,
}
"""Name -> fields, in the order in which they are listed; a method's own group has its name."""


class TrainSettings(
    DataSettings,
    ModelSettings,
    OptimisationSettings,
    AffinitySettings,
    TransferSettings,
    SelfTrainingSettings,
    RunSettings,
    AdaptersSettings,
    DptSettings,
    LoraSettings,
    ConsistencySettings,
    TawtSettings,
    MultSettings,
):
    """Everything that decides a run, in one namespace; saved as ``settings.yaml`` in the run folder."""

    @field_validator("tasks", "held", mode="before")
    @classmethod
    def _split_tasks(cls, value: Any) -> Any:
        return tuple(t.strip() for t in value.split(",") if t.strip()) if isinstance(value, str) else value

    @field_validator("size", mode="before")
    @classmethod
    def _split_size(cls, value: Any) -> Any:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("cache_features", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads off as false

    @field_validator("scale")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("wanted 0 < lowest <= highest")
        return value

    @field_validator("label_space")
    @classmethod
    def _two_sets(cls, value: str | None) -> str | None:
        names = [] if value is None else [name.strip() for name in value.split(SEPARATOR)]
        if value is not None and (len(names) != 2 or not all(names) or names[0] == names[1]):
            raise ValueError("wanted two data sets as SOURCE>TARGET")
        return value

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in METHODS:
            raise ValueError(f"wanted one of {', '.join(METHODS)}.{near_matches(value, METHODS)}")
        return value

    @property
    def data_names(self) -> tuple[str, ...]:
        """The data sets, in order."""
        return tuple(name.strip() for name in self.data.split("+"))

    @property
    def space_names(self) -> tuple[str, ...]:
        """The two data sets of the label space; none where it is not set."""
        return () if self.label_space is None else tuple(name.strip() for name in self.label_space.split(SEPARATOR))

    @property
    def encoder(self) -> str:
        """The name of the backbone: what was asked for, else the method's default."""
        return self.backbone or METHODS[self.method].encoder

    @property
    def peak_lr(self) -> float:
        """The peak learning rate: what was asked for, else the method's."""
        return self.lr or (METHODS[self.method].lr if self.train_blocks == "adapters" else LR)

    @property
    def aligns(self) -> bool:
        """Whether discriminators make predictions on the target look like the source's."""
        return self.target is not None and self.strategy in ("adversarial", "both")

    @property
    def self_trains(self) -> bool:
        """Whether a teacher's labels of the target are learned."""
        return self.target is not None and self.strategy in ("self-training", "both")

    @property
    def keeps_backbone(self) -> bool:
        """Whether training changes the whole backbone, so that the run itself keeps it."""
        return METHODS[self.method].trains_backbone or self.train_blocks == "all"

    def default(self, key: str) -> Any:
        """The value of a setting unless it is given; None for what must be."""
        return type(self).model_fields[key].get_default(call_default_factory=True)

    def changed(self, key: str) -> bool:
        """Whether a setting has another value than its default."""
        field = type(self).model_fields[key]
        return not field.is_required() and bool(getattr(self, key) != self.default(key))

    def changes(self) -> list[str]:
        """The settings that have other values than their defaults."""
        return [key for key in KEYS if self.changed(key)]

    def to_yaml(self) -> str:
        """The settings as YAML text, group by group; the backbone by name: a method's own may be another one day."""
        content = {**self.model_dump(mode="json"), "backbone": self.encoder}
        return yaml.safe_dump({key: content[key] for key in KEYS}, sort_keys=False)


KEYS: tuple[str, ...] = tuple(key for group in GROUPS.values() for key in group.model_fields)
"""All settings, group by group."""


def group_of(key: str) -> str:
    """The name of the group that a setting belongs to."""
    return next(name for name, group in GROUPS.items() if key in group.model_fields)
