"""What the affinity is taken by, judged by split-half reliability: the table of alternatives in docs/affinity.md.

    python benchmarks/affinity_alternatives.py RUN [RUN ...] --data-dir runs/rooms_table/data --batches 64

For each finished run of the adapters it draws batches of four training images and compares two random halves of them:
the Pearson correlation, off the diagonal, of the matrices that the halves give, averaged over 30 divisions.

* "same batch": cosine of grad L_s (through z_t) and grad L_t of one batch; "features" takes it image by image;
* "two batches": the same with L_t's gradient from the next batch;
* "averaged": gradients are averaged over the half first, and inner products leave out pairs of one batch with itself
  (unbiased, noise-corrected cosine).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.data.training.transforms import train_transform
from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.affinity.measure import split_half
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.train.troa import batch_cosines

SPLITS = 30


def groups_of(model: AdaptedModel) -> dict[str, list[Tensor]]:
    """Parameters of the adapters by kind."""
    ledger = {name: list(group.parameters) for name, _, group in model.components()}
    shared = {id(p) for block in model.shared_parameters().values() for p in block}
    kinds = ("attention bias", "task-scaled norm", "bottlenecks", "skip merge")
    chosen = {kind: [p for p in ledger[kind] if id(p) in shared] for kind in kinds}
    return {"all adapters": [p for group in chosen.values() for p in group], **chosen}


def parameter_gradients(loaded: Loaded, batch: dict, theta: list[Tensor]) -> Tensor:
    """(S, T, P) gradients of each source's loss through each target's conditioning."""
    model = loaded.model
    assert isinstance(model, AdaptedModel)
    trunk = model.backbone.trunk(batch["image"])
    columns = []
    for target in loaded.tasks:
        logits, _ = model.cross(trunk, target, tuple(loaded.tasks))
        rows = []
        for name, task in loaded.tasks.items():
            loss = task.loss_fn(logits[name], batch["targets"][name]).value
            found = torch.autograd.grad(loss, theta, retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in found]))
        columns.append(torch.stack(rows))
    return torch.stack(columns, dim=1)


def cosines(u: Tensor, v: Tensor) -> Tensor:
    """(n, S, T) from u (n, S, T, P) and the targets' own gradients v (n, T, P)."""
    return (u * v[:, None]).sum(-1) / (u.norm(dim=-1) * v.norm(dim=-1)[:, None])


def corrected(u: Tensor) -> Tensor:
    """(S, T) noise-corrected cosine of mean gradients: inner products over pairs of different batches only."""
    n, tasks = len(u), u.shape[1]
    v = u.diagonal(dim1=1, dim2=2).movedim(-1, 1)  # (n, T, P)

    def between(a: Tensor, b: Tensor) -> Tensor:
        return ((a.sum(0) * b.sum(0)).sum(-1) - (a * b).sum(-1).sum(0)) / (n * (n - 1))

    own = between(v, v)
    out = torch.full((tasks, tasks), torch.nan)
    for s in range(tasks):
        cross, norm = between(u[:, s], v), between(u[:, s], u[:, s])
        out[s] = torch.where((norm > 0) & (own > 0), cross / (norm * own).clamp_min(1e-30).sqrt(), torch.nan)
    return out


def reliability(observed: Tensor) -> float:
    """Mean correlation of two random halves of (n, S, T) observations."""
    found = []
    for seed in range(SPLITS):
        order = torch.randperm(len(observed), generator=torch.Generator().manual_seed(seed))
        a, b = observed[order[: len(order) // 2]].mean(0), observed[order[len(order) // 2 :]].mean(0)
        found.append(split_half(a, b) or 0.0)
    return mean(found)


def one_run(run: Path, data_dir: Path, batches: int, images: int, augment: bool) -> dict[str, float]:
    """Reliability of every alternative for one run."""
    loaded = load_run(run)
    model = loaded.model
    assert isinstance(model, AdaptedModel)
    reader, chosen = open_pack(data_dir, loaded.settings.data, "train"), loaded.settings
    change = train_transform(reader.size(0), chosen.scale, 0.5, chosen.colour_jitter) if augment else None
    data = PackDataset(reader, loaded.tasks, change)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(1)).tolist()
    groups = groups_of(model)
    theta = groups["all adapters"]
    where, start = {}, 0
    for parameter in theta:
        where[id(parameter)] = slice(start, start + parameter.numel())
        start += parameter.numel()
    features, permuted, gradients = [], [], []
    for index in range(batches):
        batch = collate([data[i] for i in order[index * images : (index + 1) * images]], loaded.tasks)
        features.append(batch_cosines(model, loaded.tasks, batch)[0])
        permuted.append(batch_cosines(model, loaded.tasks, batch, measure="permuted")[0])
        gradients.append(parameter_gradients(loaded, batch, theta))
    per_image, u = torch.cat(features), torch.stack(gradients)
    out = {"encoded features, image by image": reliability(per_image)}
    for count in (32, 64, 128):
        if 2 * count <= len(per_image):
            out[f"- the same with {count} images a half"] = reliability(per_image[: 2 * count])
    for name, group in groups.items():
        columns = torch.cat([torch.arange(w.start, w.stop) for w in (where[id(p)] for p in group)])
        part = u[..., columns]
        v = part.diagonal(dim1=1, dim2=2).movedim(-1, 1)
        out[f"{name}, same batch"] = reliability(cosines(part, v))
        out[f"{name}, two batches"] = reliability(cosines(part, v.roll(-1, 0)))
    half = batches // 2
    out["all adapters, averaged"] = split_half(corrected(u[:half]), corrected(u[half:])) or float("nan")
    off = ~torch.eye(len(loaded.tasks), dtype=torch.bool)
    out["(mean |C| off the diagonal)"] = float(per_image.mean(0)[off].abs().mean())
    out["(the same with another image's labels)"] = float(torch.cat(permuted).mean(0)[off].abs().mean())
    return out


def main() -> None:
    """Print the table as Markdown: mean and standard deviation over the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--batches", type=int, default=64)
    parser.add_argument("--images", type=int, default=4, help="images per batch")
    parser.add_argument("--augment", action="store_true", help="flip, zoom and jitter the images as in training")
    args = parser.parse_args()
    found = [one_run(run, args.data_dir, args.batches, args.images, args.augment) for run in args.runs]
    print(f"| gradient by | correlation of two halves of {args.batches * args.images // 2} images |\n|---|---|")
    for name in found[0]:
        values = [result[name] for result in found]
        spread = f" +- {stdev(values):.3f}" if len(values) > 1 else ""
        print(f"| {name} | {mean(values):.3f}{spread} |")


if __name__ == "__main__":
    main()
