"""The predictors by name: a score of each source for each target, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.cell import Cell, train_cell
from vtadapt.workflows.gain.options import FEATURES, LABELS, GainOptions
from vtadapt.workflows.gain.predictors.gradients import by_cosines, by_lookahead
from vtadapt.workflows.gain.predictors.sources import Features, by_features, by_labels, features_of, scarce_of
from vtadapt.workflows.run.settings import TrainSettings

Scores = dict[str, dict[str, float]]
"""Target -> source -> score, the higher the better; only the order within a target means anything."""


@dataclass(frozen=True)
class Predicted:
    """Scores, and the CPU seconds that they took."""

    scores: Scores
    cpu_seconds: float


def predict(
    name: str, bench: Bench, settings: TrainSettings, options: GainOptions, targets: Sequence[str], seed: int
) -> Predicted:
    """Score the sources of each target by a predictor of :data:`vtadapt.workflows.gain.options.PREDICTORS`.

    * ``features`` (default): each source is trained alone on all of its labels, T trainings in all; the score is the
      share of the target's variance that a linear map explains of what the source's head reads, on the few images that
      have labels of the target, cross-validated over these.
    * ``labels``: the same of the source's labels themselves; trains nothing.
    * ``troa``, ``lookahead``, ``permuted``: of one network trained on all labels of all tasks, see
      :mod:`vtadapt.affinity.measures`; they know more labels of the target than the others.

    Args:
        name: the predictor.
        bench: what is read.
        settings: of a training.
        options: what is scarce.
        targets: whose sources are scored.
        seed: of the trainings and of the choice of the scarce images.
    """
    began = time.process_time()
    names = [*bench.tasks]
    if name == LABELS:
        few = {t: scarce_of(bench, t, options.scarce, seed) for t in targets}
        scores = {t: by_labels(bench, t, [s for s in names if s != t], few[t]) for t in targets}
    elif name == FEATURES:
        scores = _by_features(bench, settings, options, targets, seed)
    else:
        joint = _joint(bench, settings, names, seed)
        matrix = by_lookahead(joint, bench, settings.peak_lr) if name == "lookahead" else by_cosines(joint, bench, name)
        scores = _of_matrix(matrix, names, targets)
    return Predicted(scores, time.process_time() - began)


def _by_features(
    bench: Bench, settings: TrainSettings, options: GainOptions, targets: Sequence[str], seed: int
) -> Scores:
    scores: Scores = {target: {} for target in targets}
    # Alone a cell is trained on the first half of each batch; here all of the images have labels.
    whole = settings.model_copy(update={"batch_size": 2 * settings.batch_size})
    for source in bench.tasks:
        model = train_cell(bench, whole, Cell(source, (), seed, bench.images))
        known: dict[tuple[int, ...], Features] = {}  # where all images have all labels it is the same few of them
        for target in targets:
            if target != source:
                rows = tuple(scarce_of(bench, target, options.scarce, seed))
                if rows not in known:
                    known[rows] = features_of(cast(AdaptedModel, model), bench, rows)
                scores[target] |= by_features(bench, target, {source: known[rows]}, rows)
    return scores


def _joint(bench: Bench, settings: TrainSettings, names: Sequence[str], seed: int) -> AdaptedModel:
    """A network trained on all labels of all tasks."""
    model = train_cell(bench, settings, Cell(names[0], tuple(names[1:]), seed, bench.images))
    return cast(AdaptedModel, model)


def _of_matrix(matrix: Tensor, names: Sequence[str], targets: Sequence[str]) -> Scores:
    found = matrix.tolist()
    return {t: {s: found[i][names.index(t)] for i, s in enumerate(names) if s != t} for t in targets}
