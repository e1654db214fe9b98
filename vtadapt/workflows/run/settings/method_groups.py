"""The settings that only some methods read, a group for each of these."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vtadapt.workflows.run.settings.group import Group


class AdaptersSettings(Group):
    """What is added to the backbone."""

    embedding_dim: int | None = Field(None, ge=1, le=65536, description="size of the task embedding; default w^3")
    reduction: int = Field(4, ge=1, le=65536, description="bottleneck C -> C/r")
    adapter: Literal["residual", "slides"] = Field(
        "residual",
        description="residual keeps what the pretrained block computes; slides: the order of the paper's slides",
    )
    adapted_blocks: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="adapted blocks of the last stage but one, or of a plain ViT; default: the last ceil(4/18) of it, "
        "or a third",
    )
    decoder_sharing: Literal["shared", "per_task"] = Field("shared", description="one decoder, or one per task")
    train_blocks: Literal["adapters", "full", "all"] = Field(
        "adapters", description="adapters only; with the adapted blocks; everything"
    )


class DptSettings(Group):
    """The decoders of the frozen backbone."""

    dpt_width: int = Field(48, ge=8, le=8192, description="channels of the fusion blocks; the paper has 256")


class LoraSettings(Group):
    """The low-rank changes of the frozen backbone's weights."""

    lora_rank: int = Field(8, ge=1, le=65536, description="rank r of the change B A of each weight")
    lora_alpha: float = Field(16.0, gt=0, le=1e6, description="the change is scaled by lora_alpha / lora_rank")


class ConsistencySettings(Group):
    """The networks from task to task."""

    cross_task_share: float = Field(
        0.5, gt=0, le=1e3, description="the cross-task networks are trained first, for this share of the steps"
    )
    cross_task_width: int = Field(12, ge=4, le=8192, description="channels of the cross-task networks")


class TawtSettings(Group):
    """The weights of the tasks' losses."""

    tawt_every: int | None = Field(None, ge=1, le=10**9, description="steps between mirror steps; default 6 (T + 1)")
    tawt_eta: float = Field(1.0, ge=0, le=1e3, description="step size of the weights")


class MultSettings(Group):
    """The attention that all tasks' decoders share."""

    reference: str | None = Field(None, description="the task whose attention all share; default: the first")
