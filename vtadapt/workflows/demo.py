"""``vtadapt demo``: the whole job on a small synthetic set, offline, in a few minutes; what ``make demo`` runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vtadapt.atomic import need_writable
from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.viz.panels import save_png
from vtadapt.workflows.evaluate.evaluate import evaluate_run
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.train import train

IMAGES = 640
EPOCHS = 3


def demo(
    out: Path,
    *,
    images: int = IMAGES,
    epochs: int = EPOCHS,
    size: tuple[int, int] = (128, 128),
    weights: str = "auto",
    workers: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Prepare rooms, train adapters for four tasks, evaluate, draw.

    Args:
        out: folder that everything is written to.
        images: training images.
        epochs: passes over them.
        size: of the images.
        weights: of the backbone, as for training.
        workers: processes that render.
        quiet: no progress.

    Returns:
        {"run", "metrics", "trivial", "not_above_trivial", "pictures", "seconds"}; see
        :func:`vtadapt.workflows.evaluate.evaluate.evaluate_run`.
    """
    started = time.perf_counter()
    recipe = load_recipe("rooms")

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    need_writable(out)
    tell(f"1/4 prepare: {images} synthetic rooms")
    prepare_data("rooms", None, out / "data", PrepareOptions(size=size, limit=images, workers=workers), quiet=quiet)
    tell(f"2/4 train: adapters for {', '.join(recipe.tasks)} on the frozen swin_lite")
    settings = TrainSettings(
        data="rooms", data_dir=out / "data", run_dir=out / "runs", weights=weights, epochs=epochs, evals=1
    )
    run = Path(train(settings, quiet=quiet)["run"])
    tell("3/4 evaluate")
    results = evaluate_run(run)
    tell("4/4 draw")
    reader = open_reader(settings, "rooms", "val")
    save_png(out / "room.png", reader.read(0)["image"])
    panel = predict([out / "room.png"], run, out / "predictions")[0]["panel"]
    told = {key: results[key] for key in ("metrics", "trivial", "not_above_trivial")}
    seconds = round(time.perf_counter() - started)
    return {"run": str(run), **told, "pictures": [*results["panels"], panel], "seconds": seconds}
