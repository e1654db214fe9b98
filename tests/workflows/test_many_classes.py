"""A list of more than 255 classes from its files to the written prediction: no id wraps at 256, 255 stays void."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.prepare.check_data import check_data
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.train import train

NAMES = [f"c{i}" for i in range(300)]
RECIPE = {
    "name": "many",
    "title": "Blocks of many classes",
    "licence": "own",
    "reader": "folder",
    "tasks": {"semseg": {"kind": "classes", "label_set": "many300"}},
    "label_sets": {"many300": {"classes": NAMES, "ids": {i + 1: name for i, name in enumerate(NAMES)}, "void": [0]}},
    "options": {
        "image": "images/*.png",
        "labels": {"semseg": {"files": "labels/{stem}.png"}},
        "split": {"fractions": {"train": 0.7, "val": 0.3}, "seed": 0},
    },
}


def test_from_the_files_to_the_written_prediction(tmp_path: Path) -> None:
    source, random = tmp_path / "source", np.random.default_rng(0)
    for folder in ("images", "labels"):
        (source / folder).mkdir(parents=True)
    truth = {}
    for i in range(10):
        truth[str(i)] = np.kron(random.integers(0, 301, (6, 6)), np.ones((8, 8), int)).astype(np.uint16)
        Image.fromarray(random.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(source / f"images/{i}.png")
        cv2.imwrite(str(source / f"labels/{i}.png"), truth[str(i)])
    (tmp_path / "many.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    data = tmp_path / "data"
    prepare_data(str(tmp_path / "many.yaml"), source, data, PrepareOptions(workers=0), quiet=True)
    assert check_data("many", data, quiet=True)["problems"] == []
    pack = open_pack(data, "many", "train")
    for i, name in enumerate(pack.names):
        stored = pack.read(i)["semseg"]
        number = truth[name].astype(int)
        wanted = np.where(number == 0, 255, np.where(number > 255, number, number - 1))  # 256, c255, is id 256
        assert stored.dtype == np.uint16
        np.testing.assert_array_equal(stored, wanted)
    few = {"steps": 2, "batch_size": 2, "accelerator": "cpu", "precision": "32-true", "weights": "random"}
    settings = TrainSettings.model_validate({"data": "many", "data_dir": data, "run_dir": tmp_path / "runs", **few})
    run = Path(train(settings, quiet=True)["run"])
    found = evaluate_run(run, EvalOptions(folder=tmp_path / "runs"))
    labelled = sum(int((truth[name] > 0).sum()) for name in open_pack(data, "many", "val").names)
    assert found["counts"]["many"]["semseg"]["pixels"] == labelled
    done = predict([source / "images" / "0.png"], run, tmp_path / "out", raw=True)
    with np.load(done[0]["raw"]) as raw:
        assert raw["semseg"].dtype == np.uint16
        assert raw["semseg"].max() <= 300
