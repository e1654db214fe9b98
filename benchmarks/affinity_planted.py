"""A planted case for the affinity: a quantity, its noisy copy, its negative, random labels and another quantity.

    python benchmarks/affinity_planted.py --data-dir runs/rooms_table/data --out runs/planted

The quantity is the depth of synthetic rooms (scaled), the other one the x of their normals; each task has its own head.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from vtadapt.workflows.tables import affinity_table, print_tables

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.training.dataset import PackDataset
from vtadapt.tasks import TASKS
from vtadapt.workflows.affinity.measure import AffinityOptions
from vtadapt.workflows.affinity.run_affinity import affinity_of_run
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.train import train

NAMES = ("a", "copy", "negative", "random", "other")


def write_source(folder: Path, data_dir: Path, count: int) -> None:
    """Images at half size as PNG, labels as .npy, as the folder reader takes them."""
    rng = np.random.default_rng(0)
    for name in ("images", *NAMES):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rooms = PackDataset(open_pack(data_dir, "rooms", "train"), {name: TASKS[name] for name in ("depth", "normals")})
    for index in range(count):
        sample = rooms[index]
        image = (sample["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)[::2, ::2]
        a = ((sample["targets"]["depth"][0].numpy()[::2, ::2] - 3) / 1.5).astype(np.float32)
        coarse = rng.normal(0, 1, (4, 4)).astype(np.float32)
        labels = {
            "a": a,
            "copy": a + rng.normal(0, 0.3, a.shape).astype(np.float32),
            "negative": -a,
            "random": cv2.resize(coarse, a.shape[::-1], interpolation=cv2.INTER_CUBIC),
            "other": sample["targets"]["normals"].numpy()[0, ::2, ::2].astype(np.float32),
        }
        cv2.imwrite(str(folder / "images" / f"{index:04d}.png"), image[..., ::-1])
        for name, value in labels.items():
            np.save(folder / name / f"{index:04d}.npy", value)


def recipe() -> str:
    """The data set's YAML."""
    tasks = "".join(f"  {name}: {{kind: regression, units: u}}\n" for name in NAMES)
    labels = "".join(f'    {name}: {{files: "{name}/{{stem}}.npy"}}\n' for name in NAMES)
    return (
        "name: planted\ntitle: planted\nlicence: own\nreader: folder\nsplits: [train, val]\n"
        f'tasks:\n{tasks}options:\n  image: "images/*.png"\n  labels:\n{labels}'
        "  split: {fractions: {train: 0.9, val: 0.1}, seed: 0}\n"
    )


def main() -> None:
    """Write, prepare, train two epochs, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of the rooms pack")
    parser.add_argument("--out", type=Path, default=Path("runs/planted"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    write_source(args.out / "source", args.data_dir, 440)
    (args.out / "planted.yaml").write_text(recipe(), encoding="utf-8")
    prepare_data(str(args.out / "planted.yaml"), args.out / "source", args.out / "data", quiet=True)
    for seed in args.seeds:
        settings = TrainSettings(
            data="planted", data_dir=args.out / "data", run_dir=args.out / "runs", epochs=2, troa_every=8, seed=seed
        )
        run = Path(train(settings, quiet=True)["run"])
        print_tables([affinity_table(affinity_of_run(run, AffinityOptions("troa", batches=12), quiet=True))])


if __name__ == "__main__":
    main()
