"""Source pictures with rare classes more often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vtadapt.data.pack.pack import PackReader
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import VOID
from vtadapt.workflows.run.loaders import RunSampler

ENOUGH = 0.002  # share of a picture's pixels from which it is one of a class


class RareClassSampler(RunSampler):
    """Draws a class, then a picture that has it (rare class sampling: DAFormer, Hoyer et al., CVPR 2022, eq. 6).

    P(c) is proportional to exp((1 - f_c) / T), f_c being the share of the labelled pixels that are of class c. The
    batches of an epoch are drawn from (seed, epoch), so any can be begun with.
    """

    def __init__(self, pixels: Tensor, temperature: float, sampler: RunSampler) -> None:
        """Draw in place of another sampler.

        Args:
            pixels: (N, K), of each class in each picture.
            temperature: T; small draws the rarest class alone, large all alike.
            sampler: whose batches and seed it has.
        """
        super().__init__(sampler.lengths, sampler.batch, sampler.seed, sampler.rank, sampler.world)
        total = pixels.sum(1, keepdim=True).clamp_min(1)
        self.has = (pixels / total >= ENOUGH).double()
        self.has[:, self.has.sum(0) == 0] = (pixels[:, self.has.sum(0) == 0] > 0).double()
        self.chances = class_chances(pixels.sum(0), temperature) * (self.has.sum(0) > 0)

    def __iter__(self) -> Iterator[int]:
        """Indices of pictures, from the batch that was chosen on."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        count = self.batches * self.batch * self.world
        if not self.chances.any():  # no label: all pictures alike
            drawn = torch.randint(sum(self.lengths), (count,), generator=generator)
        else:
            classes = torch.multinomial(self.chances, count, replacement=True, generator=generator)
            drawn = torch.empty(count, dtype=torch.int64)
            for index in classes.unique():
                mine = classes == index
                drawn[mine] = torch.multinomial(self.has[:, index], int(mine.sum()), True, generator=generator)
        turns = drawn.view(self.batches, self.world, self.batch)
        yield from turns[self.start :, self.rank].flatten().tolist()


def class_chances(pixels: Tensor, temperature: float) -> Tensor:
    """P(c) of :class:`RareClassSampler` of numbers of pixels (K,); 0 for a class without any."""
    shares = pixels.double() / pixels.sum().clamp_min(1)
    # The largest exponent is taken off: exp(1 / 0.001) is no number.
    chances = ((-shares / temperature) + (shares[pixels > 0] / temperature).amin()).exp() if pixels.any() else shares
    chances = chances.where(pixels > 0, 0.0)
    return chances / chances.sum().clamp_min(torch.finfo(chances.dtype).tiny)


def pixels_of_classes(reader: PackReader, task: Task, label_maps: Mapping[str, Sequence[int]]) -> Tensor:
    """Labelled pixels of each class in each picture of a pack: (N, K) float64."""
    found = torch.zeros(len(reader), task.channels, dtype=torch.float64)
    for index in range(len(reader)):
        label = reader.read(index, [task.name], image=False).get(task.name)
        if label is None:
            continue
        ids = task.behaviour.mapped(label, tuple(label_maps[task.name])) if task.name in label_maps else label
        counts = np.bincount(ids[ids != VOID].ravel(), minlength=task.channels)
        found[index] = torch.from_numpy(counts[: task.channels]).double()
    return found
