"""Pretrain ``swin_pico`` on synthetic rooms, without the labels of the four tasks.

    python -m vtadapt.assets.swin_pico.pretrain --images 12000 --epochs 14 --out build/swin_pico

Pretexts, all from one forward pass through the encoder and a shallow decoder that is thrown away:
albedo, shading, reshading (light at the camera) and height above the floor, predicted per pixel; instance
discrimination (do two pixels lie on the same object); and the kind of single objects, from boxes cut out of the
feature map. None of them is semantic segmentation, depth, normals or edges.

One process per core (``--ranks``), one thread each, gradients averaged with gloo.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from vtadapt.atomic import whole_file
from vtadapt.models.backbones.base import Encoder
from vtadapt.models.backbones.bundled import OLD_SWIN, build_pico, config_of
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD
from vtadapt.models.decoder import LightDecoder
from vtadapt.synthetic.rooms.rooms import KINDS, generate_rooms

SIZE = 128
FIRST_SEED = 10_000_000  # seeds of no split of the data set: its train begins at 0, its val at 20_000_000
BOXES = 8  # objects per image whose kind is asked
STRUCTURE = ("wall", "floor", "ceiling", "beam", "column", "skirting board")  # not objects
PIXELS = 48  # pixels per image whose instances are compared
DENSE = {"albedo": 3, "shading": 1, "reshading": 1, "height": 1}


def swin_pico() -> Encoder:
    """The bundled architecture with random weights."""
    return SwinBackbone(OLD_SWIN, build_pico(config_of(OLD_SWIN)), IMAGENET_MEAN, IMAGENET_STD)


class Pretext(nn.Module):
    """Encoder, shallow decoder and one head per pretext."""

    def __init__(self, backbone: Encoder) -> None:
        """Create decoder and heads for an encoder of four levels, the finest at stride 4."""
        super().__init__()
        self.backbone = backbone
        width = 64
        self.decoder = LightDecoder(self.backbone.channels, width)
        self.dense = nn.Conv2d(width, sum(DENSE.values()), 1)
        self.instance = nn.Conv2d(width, 16, 1)
        self.kind = nn.Sequential(
            nn.Linear(self.backbone.channels[-1] + self.backbone.channels[-2] + width, 256),
            nn.ReLU(),
            nn.Linear(256, len(KINDS)),
        )

    def forward(self, image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict.

        Args:
            image: (B, 3, H, W) in 0..1.
            boxes: (K, 5): index in the batch, x0, y0, x1, y1 in pixels.

        Returns:
            dense (B, 6, H, W); instance embedding (B, 16, H/4, W/4); kind logits (K, kinds).
        """
        levels = self.backbone.features(image, grad=True)
        features = self.decoder([level[:, None] for level in levels[2:]], tuple(levels[:2]))[:, 0]
        dense = F.interpolate(self.dense(features), scale_factor=4, mode="bilinear", align_corners=False)
        pooled = [
            roi_align(level, boxes, 1, level.shape[-1] / image.shape[-1], aligned=True).flatten(1)
            for level in (features, levels[2].permute(0, 3, 1, 2), levels[3].permute(0, 3, 1, 2))
        ]
        return dense, self.instance(features), self.kind(torch.cat(pooled, 1))


def render(cache: Path, images: int, workers: int) -> None:
    """Render the training images with their extra maps into memory-mapped arrays (about 0.25 MB an image)."""
    if (cache / "done").exists() and int((cache / "done").read_text()) >= images:
        return
    cache.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for i, room in enumerate(generate_rooms(range(FIRST_SEED, FIRST_SEED + images), (SIZE, SIZE), True, workers)):
        h, w = room["depth"].shape
        y, x = np.mgrid[:h, :w].astype(np.float32)
        rays = np.stack([(x - w / 2) / (0.9 * w), (y - h / 2) / (0.9 * w), np.ones_like(x)], -1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        sample = {
            "image": room["image"],
            "albedo": room["albedo"],
            "shading": room["shading"].astype(np.float16),
            "reshading": np.clip(-(room["normals"].astype(np.float32) * rays).sum(-1), 0, 1).astype(np.float16),
            "height": room["height"].astype(np.float16),
            "instance": room["instance"].astype(np.uint16),
            "kind": room["kind"],
        }
        for key, value in sample.items():
            if key not in arrays:
                shape = (images, *value.shape)
                arrays[key] = np.lib.format.open_memmap(cache / f"{key}.npy", "w+", value.dtype, shape)
            arrays[key][i] = value
        if i % 500 == 0:
            print(f"rendered {i}", flush=True)
    (cache / "done").write_text(str(images))


def batch(arrays: dict[str, Any], index: np.ndarray, random: np.random.Generator) -> dict[str, Tensor]:
    """Read, flip and zoom a batch; the zoom is one crop for the whole batch."""
    out = {k: torch.from_numpy(np.ascontiguousarray(a[index])) for k, a in arrays.items()}
    side = SIZE if random.random() < 0.4 else int(random.integers(SIZE // 2, SIZE))
    top, left = (int(random.integers(0, SIZE - side + 1)) for _ in range(2))
    maps = {}
    for key, value in out.items():
        value = value.float() / 255 if value.dtype == torch.uint8 and key != "kind" else value.float()
        value = value.permute(0, 3, 1, 2) if value.dim() == 4 else value[:, None]
        value = value[..., top : top + side, left : left + side]
        if side != SIZE:
            mode = "nearest" if key in ("instance", "kind") else "bilinear"
            options = {} if mode == "nearest" else {"align_corners": False}
            value = F.interpolate(value, size=(SIZE, SIZE), mode=mode, **options)
        maps[key] = value
    if random.random() < 0.5:
        maps = {k: v.flip(-1) for k, v in maps.items()}
    return maps


def disturb(image: Tensor, random: np.random.Generator) -> Tensor:
    """Change exposure, contrast, white balance, sharpness and noise per image, so that features do not hang on them."""
    n = len(image)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, (n, channels, 1, 1)).astype(np.float32))

    image = image.clamp(1e-3, 1) ** draw(0.7, 1.4) * draw(0.75, 1.25) * draw(0.9, 1.1, 3)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * draw(0.7, 1.3)
    if random.random() < 0.3:
        image = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    grey = (draw(0, 1) < 0.1).float()
    image = grey * image.mean(1, keepdim=True) + (1 - grey) * image
    return (image + torch.randn_like(image) * draw(0, 0.03)).clamp(0, 1)


def find_boxes(instance: Tensor, kind: Tensor, structure: set[int]) -> tuple[Tensor, Tensor]:
    """Boxes (K, 5) around single objects and their kinds (K); walls, floor and ceiling are left out."""
    boxes, kinds = [], []
    for b in range(len(instance)):
        ids, first, counts = np.unique(instance[b, 0].numpy(), return_index=True, return_counts=True)
        flat = kind[b, 0].numpy().ravel()
        good = [
            (i, int(flat[f]))
            for i, f, c in zip(ids, first, counts, strict=True)
            if c >= 60 and int(flat[f]) not in structure
        ]
        for identity, label in good[:BOXES]:
            ys, xs = np.nonzero(instance[b, 0].numpy() == identity)
            boxes.append([b, xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            kinds.append(label)
    return torch.tensor(boxes, dtype=torch.float32).view(-1, 5), torch.tensor(kinds, dtype=torch.long)


def losses(model: Pretext, maps: dict[str, Tensor], image: Tensor, structure: set[int]) -> dict[str, Tensor]:
    """One number per pretext."""
    boxes, kinds = find_boxes(maps["instance"], maps["kind"], structure)
    dense, embedding, logits = model(image, boxes)
    out, start = {}, 0
    scale = {"albedo": 4.0, "shading": 1.0, "reshading": 3.0, "height": 1.0}
    for key, channels in DENSE.items():
        target = maps[key].clamp_min(0)
        target = torch.log(target + 0.05) * 0.5 if key == "shading" else target
        out[key] = scale[key] * F.smooth_l1_loss(dense[:, start : start + channels], target, beta=0.1)
        start += channels
    n, c = embedding.shape[:2]
    place = torch.randint(0, embedding[0, 0].numel(), (n, PIXELS))
    e = F.normalize(embedding.flatten(2).gather(2, place[:, None].expand(-1, c, -1)), dim=1)
    ids = maps["instance"][:, 0, 2::4, 2::4].flatten(1).gather(1, place)
    same = (ids[:, :, None] == ids[:, None, :]).float()
    out["instance"] = F.binary_cross_entropy_with_logits(8 * torch.einsum("ncp,ncq->npq", e, e) - 4, same)
    out["kind"] = 0.3 * F.cross_entropy(logits, kinds) if len(kinds) else logits.sum() * 0
    return out


def average_gradients(model: nn.Module, ranks: int) -> None:
    """Average the gradients over all processes."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= ranks
    start = 0
    for g in grads:
        g.copy_(flat[start : start + g.numel()].view_as(g))
        start += g.numel()


def work(rank: int, args: argparse.Namespace, make: Callable[[], Encoder]) -> None:
    """Train the encoder that ``make`` gives in one process of ``args.ranks``."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=args.ranks)
    torch.manual_seed(args.seed)
    model = Pretext(make())
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.05)
    keys = ("image", *DENSE, "instance", "kind")
    arrays = {k: np.load(Path(args.cache) / f"{k}.npy", mmap_mode="r")[: args.images] for k in keys}
    random = np.random.default_rng([args.seed, rank])
    torch.manual_seed(args.seed * 1000 + rank)
    structure = {i for i, k in enumerate(KINDS) if k in STRUCTURE}
    per_epoch = args.images // (args.batch * args.ranks)
    sums: dict[str, float] = {}
    total, step, started = args.epochs * per_epoch, 0, time.time()
    for epoch in range(args.epochs):
        order = np.random.default_rng([args.seed, 7, epoch]).permutation(args.images)[rank :: args.ranks]
        for i in range(per_epoch):
            lr = args.lr * min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / total))
            optimiser.param_groups[0]["lr"] = max(lr, 1e-6)
            maps = batch(arrays, np.sort(order[i * args.batch : (i + 1) * args.batch]), random)
            terms = losses(model, maps, disturb(maps["image"], random), structure)
            active = [v for k, v in terms.items() if k in args.pretexts]
            optimiser.zero_grad(set_to_none=False)
            torch.stack(active).sum().backward()
            average_gradients(model, args.ranks)
            nn.utils.clip_grad_norm_(model.parameters(), 3.0)
            optimiser.step()
            step += 1
            for k, v in terms.items():
                sums[k] = sums.get(k, 0.0) * 0.98 + 0.02 * float(v.detach())
            if rank == 0 and step % 50 == 0:
                shown = {k: round(v / (1 - 0.98**step), 4) for k, v in sums.items()}
                print(f"epoch {epoch} step {step}/{total} {time.time() - started:.0f}s {shown}", flush=True)
        if rank == 0:
            save(model, args, {"epoch": epoch + 1, "seconds": round(time.time() - started), "losses": sums})
    dist.destroy_process_group()


def save(model: Pretext, args: argparse.Namespace, numbers: dict[str, Any]) -> None:
    """Write the encoder as float16 safetensors, with its provenance in ``training.json``."""
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().half().contiguous() for k, v in model.backbone.net.state_dict().items()}
    with whole_file(out / "model.safetensors") as temporary:
        save_file(state, temporary)
    settings = {k: v for k, v in vars(args).items() if k not in ("cache", "out", "port")}
    (out / "training.json").write_text(json.dumps({"settings": settings, **numbers}, indent=1) + "\n")


def main(
    make: Callable[[], Encoder] = swin_pico,
    out: str = "build/swin_pico",
    about: str | None = __doc__,
) -> None:
    """Parse the arguments, render, train the encoder that ``make`` gives, write it to ``out``."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=16, help="images per step and rank")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--port", type=int, default=29611)
    parser.add_argument("--pretexts", nargs="+", default=[*DENSE, "instance", "kind"])
    parser.add_argument("--cache", default="build/pretrain_rooms")
    parser.add_argument("--out", default=out)
    args = parser.parse_args()
    render(Path(args.cache), args.images, args.ranks)
    mp.spawn(work, args=(args, make), nprocs=args.ranks)


if __name__ == "__main__":
    main()
