"""The settings of how the weights are fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vtadapt.workflows.run.settings.group import Group

MOST = 10**9
Weight = Annotated[float, Field(ge=0, le=1e6)]


class OptimisationSettings(Group):
    """How the weights are fitted, and for how long."""

    steps: int | None = Field(None, ge=1, le=MOST, description="end after so many steps, also within an epoch")
    epochs: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="epochs, each of as many images as the sets hold together; default: about 1000 steps a set",
    )
    batch_size: int = Field(8, ge=1, le=65536, description="images per step and rank")
    lr: float | None = Field(
        None, gt=0, le=1e3, description="peak learning rate of what is added to the backbone; default: the method's"
    )
    backbone_lr_scale: float = Field(
        0.25, gt=0, le=1e3, description="factor on lr for backbone weights that are trained"
    )
    shared_lr_scale: float = Field(1.0, gt=0, le=1e3, description="factor on lr for what all tasks share")
    own_first: float = Field(
        0.0, ge=0, lt=1, description="share of the steps before which only what is of one task alone is trained"
    )
    optimiser: Literal["adamw", "radam", "sgd"] = Field(
        "adamw", description="adamw, radam (both with decoupled weight decay) or sgd (Nesterov's momentum of 0.9)"
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="how the learning rate falls after the warm-up: to zero along a cosine or a line, or not"
    )
    weight_decay: float = Field(0.01, ge=0, le=1e3, description="AdamW's, of weights that are no vectors")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with rising learning rate")
    clip_norm: float = Field(5.0, gt=0, le=1e9, description="largest gradient norm")
    loss_weights: dict[str, Weight] = Field(default_factory=dict, description="task -> weight; default: the task's own")
    losses: dict[str, str] = Field(
        default_factory=dict,
        description="task -> loss, for classes cross_entropy, focal, dice or cross_entropy_dice; default: the task's",
    )
    class_weights: Literal["auto"] | dict[str, Weight] | None = Field(
        None,
        description="class -> its weight in the loss, or auto: rare classes count more, by their share of the training "
        "labels (at most 10 times as much)",
    )
    patience: int | None = Field(
        None, ge=1, le=MOST, description="end early after so many evaluations without a better score; default: never"
    )
