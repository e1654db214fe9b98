"""What decides the features of a data set's pictures: all of it makes the key under which they are kept."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version
from typing import Any

from vtadapt.data.pack.manifest import open_manifest
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run.settings import TrainSettings

FORMAT = 1  # raised when the same settings give other pictures, or features are kept in another form
SPLIT = "train"


def identity(
    settings: TrainSettings, name: str, model: MultitaskModel, size: tuple[int, int], precision: str, device: str
) -> dict[str, Any]:
    """All that the features depend on, but for the number of a sample and of its view.

    The number of views is not in it: a view is the same however many others there are. Nor are tasks and labels.

    Args:
        settings: of the run.
        name: of the data set.
        model: whose encoder it is.
        size: (H, W) of the pictures.
        precision: that the encoder computes in.
        device: the kind of device that it computes on.
    """
    encoder = model.encoder
    shards = open_manifest(settings.data_dir, name)["splits"][SPLIT]["shards"]
    return {
        "format": FORMAT,
        "libraries": {name: version(name) for name in ("torch", "timm")},
        "encoder": {
            "name": encoder.name,
            "sha256": encoder.digest(),
            # Weights alone do not tell windows and activations apart; addresses are of one process.
            "network": hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", repr(encoder.net)).encode()).hexdigest(),
            "mean": encoder.mean.flatten().tolist(),
            "std": encoder.std.flatten().tolist(),
            "kept": model.encoding,
        },
        "data": {"split": SPLIT, "files": [[shard.get("sha256"), shard.get("samples")] for shard in shards]},
        "pictures": {
            "size": list(size),
            "scale": list(settings.scale),
            "flip": settings.flip,
            "colour_jitter": settings.colour_jitter,
            "seed": settings.seed,
        },
        "computed": {"precision": precision, "device": device},
    }


def key_of(about: dict[str, Any]) -> str:
    """SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
