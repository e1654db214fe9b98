"""What a yardstick is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vtadapt.errors import UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.workflows.run.settings import TrainSettings

FEATURES, LABELS = "features", "labels"
GRADIENTS = ("troa", "lookahead", "permuted")
PREDICTORS = (FEATURES, LABELS, *GRADIENTS)
"""What may order the sources, see :func:`vtadapt.workflows.gain.predictors.predict.predict`."""


DECIDE_NOTHING = (
    *("data_dir", "run_dir", "start", "seed", "workers", "cache", "cache_features", "augment_views", "epochs", "evals"),
    *("accelerator", "precision", "devices", "num_nodes", "compile"),
    *("log_steps", "log_pictures", "tracker", "checkpoint_steps"),
)
"""Settings that no cell reads, or that change where it is computed but not what."""


@dataclass(frozen=True)
class GainOptions:
    """What is measured.

    Attributes:
        scarce: images whose labels of the target are known.
        images: training images of each task, see :func:`vtadapt.workflows.gain.bench.make_bench`.
        views: augmented pictures of each image.
        seeds: each a choice of the scarce images, of initial values and of the order.
        jobs: processes of one thread each.
        predictor: whose order of the sources is followed, see
            :func:`vtadapt.workflows.gain.predictors.predict.predict`.
    """

    scarce: int = 16
    images: int = 480
    views: int = 2
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    jobs: int = 1
    predictor: str = FEATURES

    def __post_init__(self) -> None:
        """Check that something is scarce, and that the predictor is one."""
        if self.predictor not in PREDICTORS:
            close = near_matches(self.predictor, PREDICTORS)
            raise UsageError(
                f"unknown predictor --by {self.predictor!r}; wanted one of {', '.join(PREDICTORS)}.{close}"
            )
        if not 2 <= self.scarce < self.images:
            # Of one image nothing can be left out to see whether the rest tells it.
            raise UsageError(f"--scarce {self.scarce} of --images {self.images}; wanted 2 or more, and fewer than all")

    def identity(self, settings: TrainSettings, tasks: Mapping[str, Task]) -> dict[str, Any]:
        """What decides the numbers of a cell: cells of another identity are not mixed with these."""
        kept = (
            "data",
            "batch_size",
            "steps",
            "method",
            "decoder",
            "head",
            "val_images",
            "lr",
            "weight_decay",
            "schedule",
        )
        chosen = {key: getattr(settings, key) for key in kept}
        about = {"scarce": self.scarce, "images": self.images, "views": self.views, "backbone": settings.encoder}
        return {**chosen, **about, "peak_lr": settings.peak_lr, "tasks": list(tasks)}

    def plan(self, settings: TrainSettings, tasks: Mapping[str, Task], packs: Mapping[str, str]) -> dict[str, Any]:
        """The identity with all settings that a cell may depend on, and the digests of the packs; as JSON has them."""
        every = settings.model_dump(mode="json", exclude=set(DECIDE_NOTHING))
        return {**every, **self.identity(settings, tasks), "packs": dict(packs)}
