"""The settings of starting from another run and of adapting to a target."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from vtadapt.workflows.run.settings.group import Group


class TransferSettings(Group):
    """Starting from another run, and adapting to images without labels."""

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
    target: str | None = Field(None, description="adapt to this data set by its images alone, see vtadapt adapt")
    label_space: str | None = Field(
        None, description="SOURCE>TARGET: on the classes that these two data sets share, see vtadapt adapt"
    )
    strategy: Literal["adversarial", "self-training", "both"] = Field(
        "adversarial",
        description="adapt: discriminators of the predictions, labels of a mean teacher, or both",
    )
    adversarial_weight: float = Field(
        0.005, ge=0, le=1e6, description="factor of the adversarial loss on target images"
    )
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
    discriminator_distance: Literal["inverse", "log"] = Field(
        "inverse", description="what discriminators see of distances: the inverse, or the logarithm of 1 m more"
    )
    discriminator_lr: float = Field(1e-3, gt=0, le=1e3, description="learning rate of the discriminators")
    discriminator_width: int = Field(
        64, ge=4, le=8192, description="channels after a discriminator's first convolution"
    )


class SelfTrainingSettings(Group):
    """Adapting by the labels of a mean teacher, see strategy."""

    self_training_weight: float = Field(1.0, ge=0, le=1e6, description="factor of the loss on the teacher's labels")
    self_training_warmup: float = Field(
        0.3, ge=0, lt=1, description="share of the steps in which that factor rises from 0, evenly"
    )
    teacher_momentum: float = Field(0.99, ge=0, lt=1, description="weight that the teacher's past keeps at each step")
    pseudo_threshold: float = Field(
        0.9, ge=0, le=1, description="confidence from which a teacher's class is sure; their share is their weight"
    )
    pseudo_share: float = Field(
        0.5, ge=0, le=1, description="share of each class's pixels, the most confident, that is taken in any case"
    )
    pseudo_agreement: float = Field(
        0.1,
        ge=0,
        le=10,
        description="how far a teacher's other labels may move under a mirror: a share of distances, radians, or "
        "differences of probabilities",
    )
    class_mixing: bool = Field(True, description="paste half of a source image's classes onto each target image")
    rare_classes: float = Field(
        0.1,
        ge=0,
        le=1e3,
        description="temperature with which source images with rare classes are mixed in more often; 0: all alike",
    )
    strong_jitter: float = Field(
        0.5, ge=0, le=1, description="how far brightness, contrast and colours of the student's images are moved"
    )
