"""Make ``swin_lite``: EfficientNet-Lite0 distilled into a transformer that has its first convolutions.

    python -m vtadapt.assets.swin_lite.pretrain crops photographs --count 9000 --teacher FILE.pth --photographs FOLDER
    python -m vtadapt.assets.swin_lite.pretrain crops rooms --count 5000 --teacher FILE.pth
    python -m vtadapt.assets.swin_lite.pretrain crops streets --count 3000 --teacher FILE.pth
    python -m vtadapt.assets.swin_lite.pretrain train --teacher FILE.pth --steps 6000 --out build/swin_lite

The convolutions up to stride 16 are the teacher's own and stay as they are, so the transformer blocks are trained on
what they give, which is computed once (``crops``). Targets: at stride 16 the teacher's last two parts at twice the size
of the image, at stride 32 the same in the mean of 2 x 2 and its last part at the size itself, all standardised per
channel; and pretexts whose truth the renderers know: albedo, shading, reshading (light at the camera), height above
the floor, whether two places lie on one object, and the kind of single objects. None of them is semantic segmentation,
depth, normals or edges.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.assets.swin_lite.crops import (
    FIRST_SEED,
    GEOMETRY,
    MAP,
    NO_KIND,
    SIDE,
    arrays_of,
    photographs,
    rendered,
    write,
)
from vtadapt.assets.swin_lite.teacher import copy_stem, load_teacher
from vtadapt.atomic import whole_file, write_json
from vtadapt.models.backbones.bundled import HYBRID, config_of
from vtadapt.models.backbones.families.windows import fit_shift
from vtadapt.models.backbones.plain.hybrid import PlainHybrid
from vtadapt.models.backbones.plain.swin import initialise
from vtadapt.synthetic.rooms.rooms import KINDS

SOURCES = {"photographs": 0.5, "rooms": 0.3, "streets": 0.2}  # shares of a batch
CELL = 16 // MAP  # cells of the pretexts' maps per token and side
GRIDS = (8, 12, 16)  # sides in tokens of the parts of crops
MAPS = 6  # channels of GEOMETRY
OBJECTS = 8  # per image whose kind is asked
WEIGHTS = {"half": 1.0, "whole": 0.5, "geometry": 0.7, "instance": 0.2, "kind": 0.1}


class Student(nn.Module):
    """The transformer part, from what enters its first block, with a linear layer per target."""

    def __init__(self, net: PlainHybrid, half: int, whole: int) -> None:
        """Create; ``half`` and ``whole``: channels of the targets at stride 16 and 32."""
        super().__init__()
        stages: list[Any] = list(net.layers)[2:]
        self.embed = stages[0].downsample.embed
        self.stages = nn.ModuleList(stage.blocks for stage in stages)
        self.merge = stages[1].downsample
        dims = [info["num_chs"] for info in net.feature_info[2:]]
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in dims)
        self.to_half, self.to_whole = nn.Linear(dims[0], half), nn.Linear(dims[1], half + whole)
        self.geometry = nn.Linear(sum(dims), MAPS * CELL * CELL)
        self.instance = nn.Linear(sum(dims), 16)
        self.kind = nn.Sequential(nn.Linear(sum(dims), 256), nn.ReLU(), nn.Linear(256, len(KINDS)))

    def forward(self, entered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, h, w, 112) -> normalised tokens (B, h, w, C), (B, h/2, w/2, 2 C), and both at (B, h, w, 3 C)."""
        x, levels = self.embed(entered), []
        for i, blocks in enumerate(self.stages):
            x = self.merge(x) if i else x
            for block in blocks:  # type: ignore[attr-defined]
                fit_shift(block, (x.shape[1], x.shape[2]))
                x = block(x)
            levels.append(self.norms[i](x))
        up = F.interpolate(levels[1].permute(0, 3, 1, 2).float(), scale_factor=2, mode="bilinear", align_corners=False)
        return levels[0], levels[1], torch.cat([levels[0], up.permute(0, 2, 3, 1).to(levels[0].dtype)], -1)


class Batches:
    """Batches of all sources, a random part of each crop's grid of tokens, the same for a batch."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Open the caches under ``folder``, with the crops that are there now."""
        self.random = np.random.default_rng([seed, 5])
        self.folders = {s: folder / s for s in SOURCES if (folder / s / "done.json").exists()}
        self.arrays = {s: arrays_of(f) for s, f in self.folders.items()}
        self.counts = {s: int(json.loads((f / "done.json").read_text())["crops"]) for s, f in self.folders.items()}
        self.statistics = {key: self._statistics(key) for key in ("half", "whole")}

    def _statistics(self, key: str) -> tuple[Tensor, Tensor]:
        values = [a[key][: min(self.counts[s], 200)].reshape(-1, a[key].shape[-1]) for s, a in self.arrays.items()]
        joined = torch.from_numpy(np.concatenate(values).astype(np.float32))
        return joined.mean(0), joined.std(0) + 1e-3

    def draw(self, size: int) -> dict[str, dict[str, Tensor]]:
        """About ``size`` crops: source -> array -> values; teacher's features standardised per channel."""
        random = self.random
        rows, columns = (int(n) for n in random.choice(GRIDS, 2, p=(0.4, 0.2, 0.4)))
        top, left = (2 * int(random.integers(0, (SIDE // 16 - n) // 2 + 1)) for n in (rows, columns))
        out: dict[str, dict[str, Tensor]] = {}
        for source, arrays in self.arrays.items():
            chosen = np.sort(random.integers(0, self.counts[source], max(1, round(size * SOURCES[source]))))
            out[source] = {}
            for key, array in arrays.items():
                if key == "image":
                    continue
                scale = {"whole": 0.5, "geometry": CELL, "instance": CELL, "kind": CELL}.get(key, 1)
                t, b, le, r = (int(n * scale) for n in (top, top + rows, left, left + columns))
                value = torch.from_numpy(np.ascontiguousarray(array[chosen][:, t:b, le:r]))
                out[source][key] = value.float() if value.is_floating_point() else value
                if key in self.statistics:
                    mean, std = self.statistics[key]
                    out[source][key] = ((out[source][key] - mean) / std).clamp(-6, 6)
        return out


def losses(student: Student, drawn: dict[str, dict[str, Tensor]], random: np.random.Generator) -> dict[str, Tensor]:
    """One number per target; the sources go through the student in one batch."""
    sizes = [len(arrays["entered"]) for arrays in drawn.values()]
    fine, coarse, both = student(torch.cat([arrays["entered"] for arrays in drawn.values()]))
    half = torch.cat([arrays["half"] for arrays in drawn.values()])
    whole = torch.cat([arrays["whole"] for arrays in drawn.values()])
    mean = F.avg_pool2d(half.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    out = {
        "half": F.smooth_l1_loss(student.to_half(fine).float(), half),
        "whole": F.smooth_l1_loss(student.to_whole(coarse).float(), torch.cat([mean, whole], -1)),
    }
    geometry = []
    for arrays, tokens in zip(drawn.values(), both.split(sizes), strict=True):
        if "geometry" in arrays:
            geometry.append(geometry_loss(student.geometry(tokens).float(), arrays["geometry"]))
        if "instance" in arrays:
            out |= object_losses(student, tokens, arrays["instance"], arrays["kind"], random)
    return out | ({"geometry": torch.stack(geometry).mean()} if geometry else {})


def geometry_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Smooth L1 of tokens' (B, h, w, 6 CELL^2) against maps (B, h CELL, w CELL, 6), NaN where there is no truth."""
    b, h, w, _ = predicted.shape
    maps = predicted.view(b, h, w, CELL, CELL, MAPS).permute(0, 1, 3, 2, 4, 5).reshape(truth.shape)
    known = truth.isfinite()
    scale = torch.tensor([2.0, 2.0, 2.0, 1.0, 2.0, 1.0])
    assert len(scale) == MAPS and len(GEOMETRY) == 4
    error = F.smooth_l1_loss(maps * scale, torch.where(known, truth, 0.0) * scale, beta=0.2, reduction="none")
    return (error * known).sum() / known.sum().clamp_min(1)


def object_losses(
    student: Student, tokens: Tensor, instance: Tensor, kind: Tensor, random: np.random.Generator
) -> dict[str, Tensor]:
    """Whether two places lie on one instance, and the kinds of single objects, in the mean over their cells."""
    b, h, w, _ = tokens.shape
    e = F.normalize(student.instance(tokens).float().flatten(1, 2), dim=-1)
    ids = instance[:, CELL // 2 :: CELL, CELL // 2 :: CELL].flatten(1).long()
    same = (ids[:, :, None] == ids[:, None]).float()
    out = {"instance": F.binary_cross_entropy_with_logits(8 * e @ e.transpose(1, 2) - 4, same)}
    pooled, kinds = [], []
    for i in range(b):
        found, first, counts = np.unique(instance[i].numpy(), return_index=True, return_counts=True)
        names = kind[i].numpy().ravel()[first]
        good = np.flatnonzero((counts >= CELL * CELL) & (names != NO_KIND))
        for j in random.permutation(good)[:OBJECTS]:
            share = (instance[i] == int(found[j])).float().view(h, CELL, w, CELL).mean((1, 3))
            pooled.append((tokens[i] * share[..., None]).sum((0, 1)) / share.sum())
            kinds.append(int(names[j]))
    if pooled:
        out["kind"] = F.cross_entropy(student.kind(torch.stack(pooled)).float(), torch.tensor(kinds))
    return out


def train(args: argparse.Namespace) -> None:
    """Train, with a mean over time of the weights, which is what is written."""
    torch.manual_seed(args.seed)
    net = PlainHybrid(**config_of(HYBRID)["architecture"])
    initialise(net)
    copy_stem(load_teacher(args.teacher), net)
    batches = Batches(args.cache, args.seed)
    student = Student(net, *(len(batches.statistics[key][0]) for key in ("half", "whole")))
    average = copy.deepcopy(student).eval()
    optimiser = torch.optim.AdamW(student.parameters(), lr=args.lr, weight_decay=0.05, fused=True)
    random = np.random.default_rng([args.seed, 9])
    sums: dict[str, float] = {}
    started = time.process_time()
    for step in range(args.steps):
        optimiser.param_groups[0]["lr"] = args.lr * min(
            1.0, (step + 1) / 300, 0.02 + 0.5 * (1 + math.cos(math.pi * step / args.steps))
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            terms = losses(student, batches.draw(args.batch), random)
        optimiser.zero_grad()
        torch.stack([WEIGHTS[k] * v for k, v in terms.items()]).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 3.0)
        optimiser.step()
        keep = min(0.999, (step + 1) / (step + 20))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), student.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        for k, v in terms.items():
            sums[k] = sums.get(k, float(v.detach())) * 0.99 + 0.01 * float(v.detach())
        if (step + 1) % 100 == 0:
            shown = {k: round(v, 4) for k, v in sums.items()}
            print(f"step {step + 1}/{args.steps} {time.process_time() - started:.0f} s of CPU {shown}", flush=True)
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            numbers = {"step": step + 1, "cpu_seconds": round(time.process_time() - started), "losses": sums}
            save(net, average, args, numbers | {"crops": batches.counts})


def save(net: PlainHybrid, average: Student, args: argparse.Namespace, numbers: dict[str, Any]) -> None:
    """Write the encoder with the mean of its weights as float16 safetensors, and what made it in ``training.json``."""
    whole = copy.deepcopy(net)
    stages: list[Any] = list(whole.layers)[2:]
    stages[0].downsample.embed, stages[1].downsample = average.embed, average.merge
    for stage, blocks in zip(stages, average.stages, strict=True):
        stage.blocks = blocks
    args.out.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().half().contiguous() for k, v in whole.state_dict().items()}
    with whole_file(args.out / "model.safetensors") as temporary:
        save_file(state, temporary)
    settings = {k: getattr(args, k) for k in ("steps", "batch", "lr", "seed", "bf16")}
    write_json(args.out / "training.json", {"settings": settings, "weights": WEIGHTS, "shares": SOURCES, **numbers})


def make_crops(args: argparse.Namespace) -> None:
    """Write the crops of one source."""
    seed = [*SOURCES].index(args.source) + 1
    torch.manual_seed(seed)
    random = np.random.default_rng([0, seed])
    if args.source == "photographs":
        crops = photographs(args.photographs, random)
    else:
        crops = rendered(args.source, range(FIRST_SEED, FIRST_SEED + args.count), random)
    teacher = load_teacher(args.teacher).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    write(
        args.cache / args.source, teacher.to(torch.bfloat16 if args.bf16 else torch.float32), crops, args.count, random
    )


def main() -> None:
    """Parse the arguments and run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    crops, training = parts.add_parser("crops"), parts.add_parser("train")
    crops.add_argument("source", choices=SOURCES)
    crops.add_argument("--count", type=int, required=True)
    crops.add_argument("--photographs", type=Path, help="folder of pictures")
    crops.set_defaults(run=make_crops)
    training.add_argument("--steps", type=int, default=6000)
    training.add_argument("--batch", type=int, default=16)
    training.add_argument("--lr", type=float, default=1e-3)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--out", type=Path, default=Path("build/swin_lite"))
    training.set_defaults(run=train)
    for part in (crops, training):
        part.add_argument("--teacher", type=Path, required=True, help="the wheel's efficientnet-lite0-57934424.pth")
        part.add_argument("--cache", type=Path, default=Path("build/crops"))
        part.add_argument("--bf16", action="store_true", help="where the processor has AMX")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.run(args)


if __name__ == "__main__":
    main()
