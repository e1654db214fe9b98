"""What the matrix A does to a task that is read out by another one's mixture, before anything is trained.

    python benchmarks/zero_shot_direct.py demo --data streets_sim --task normals --data-dir DATA

One network, its weights as they are: only A is exchanged. So what differs between rows is a matter of reading, not of
anything that labels of other tasks brought to a new domain.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vtadapt.workflows.evaluate.evaluate import evaluate
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.terminal.text import show


def main() -> None:
    """Evaluate one task under the learned, the identity, a uniform and a swapped matrix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--images", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_run(find_run(asked.run, Path("runs")))
    settings = loaded.settings.model_copy(update={"data_dir": asked.data_dir, "accelerator": "cpu", "devices": 1})
    fabric = open_fabric(settings)
    tasks = {asked.task: loaded.tasks[asked.task]}
    reader = open_reader(settings, asked.data, "val")
    learned = loaded.model.affinity.clone()
    assert isinstance(learned, torch.Tensor)
    count = len(learned)
    columns = [(i + 1) % count for i in range(count)]
    matrices = {"learned": learned, "identity": torch.eye(count), "uniform": torch.ones(count, count)}
    for name, matrix in {**matrices, "column of the next task": learned[:, columns]}.items():
        loaded.model.affinity.copy_(matrix)  # type: ignore[operator]
        found = evaluate(loaded.model, build_eval(reader, tasks, 8, asked.images), tasks, fabric)
        headline = tasks[asked.task].headline
        show(f"{name:24} {headline} {found.metrics[asked.task][headline]:.3f}")


if __name__ == "__main__":
    main()
