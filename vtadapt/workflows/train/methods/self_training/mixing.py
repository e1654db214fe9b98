"""Pictures that the student sees: classes of the source pasted onto the target, and colours changed a lot."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from vtadapt.data.training.dataset import seeded
from vtadapt.data.training.target_maps import plain
from vtadapt.data.training.transforms import ColourJitter
from vtadapt.tasks.class_ids import VOID

BLUR = v2.RandomApply([v2.GaussianBlur(5, sigma=(0.1, 1.5))], p=0.5)


def half_of_the_classes(labels: Tensor, key: Sequence[int]) -> Tensor:
    """Masks (B, H, W) of half of the classes of each label (B, H, W), rounded up, drawn from ``key``.

    ClassMix (Olsson et al., WACV 2021), between domains as in DACS (Tranheden et al., WACV 2021). Pixels without a
    label are never in it.
    """
    masks = []
    with seeded(*key):
        for one in labels:
            there = one[one != VOID].unique()
            drawn = there[torch.randperm(len(there))[: (len(there) + 1) // 2].to(there.device)]
            masks.append(torch.isin(one, drawn))
    return torch.stack(masks)


def strong(images: Tensor, strength: float, key: Sequence[int]) -> Tensor:
    """(B, 3, H, W) in 0..1 with brightness, contrast, saturation and cast of each image moved, half of them blurred.

    Args:
        images: on any device; what they become is drawn on the CPU, from ``key``.
        strength: of :class:`vtadapt.data.training.transforms.ColourJitter`; 0 leaves the images as they are.
        key: of the draws.
    """
    if not strength:
        return images
    jitter = ColourJitter(strength)
    with seeded(*key):
        made = [plain(BLUR(jitter(tv_tensors.Image(image)))) for image in images.cpu()]
    return torch.stack(made).to(images.device)
