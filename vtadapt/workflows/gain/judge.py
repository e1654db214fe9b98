"""What the cells of a yardstick say: the gain of each pair, how sure it is, and how well a predictor orders it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import mean
from typing import Any

from vtadapt.tasks import Task
from vtadapt.workflows.gain.cell import Cell
from vtadapt.workflows.gain.predictors.predict import Scores
from vtadapt.workflows.sweep.spread import paired

Gains = dict[str, dict[str, dict[int, float]]]
"""Target -> source -> seed -> gain of the target's headline metric: log(with / alone), + is better."""

LEAST = 1e-6


def gain(task: Task, alone: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Relative gain of a result over the target alone: the logarithm of the ratio of the headline metric, + is better.

    0.1 is 10 % more of a share, or 10 % less of an error.
    """
    before, after = (max(float(each["metrics"][task.headline]), LEAST) for each in (alone, other))
    return math.log(after / before) if task.higher_is_better(task.headline) else math.log(before / after)


def loss_gain(alone: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Relative gain in the validation loss: it varies less from seed to seed than metrics with a threshold do."""
    return math.log(max(float(alone["loss"]), LEAST) / max(float(other["loss"]), LEAST))


def gains_of(found: Mapping[Cell, Mapping[str, Any]], tasks: Mapping[str, Task], by_loss: bool = False) -> Gains:
    """The gains of all pairs that are there; seeds are paired: both trainings know the same images of the target."""
    out: Gains = {}
    for cell, content in found.items():
        alone = found.get(Cell(cell.target, (), cell.seed, cell.scarce))
        if len(cell.sources) == 1 and alone is not None:
            of_source = out.setdefault(cell.target, {}).setdefault(cell.sources[0], {})
            of_source[cell.seed] = loss_gain(alone, content) if by_loss else gain(tasks[cell.target], alone, content)
    return out


def summary_of(gains: Gains) -> dict[str, dict[str, Any]]:
    """Target -> source -> mean gain, its 95 % interval over seeds, and whether it is told apart from 0."""
    return {t: {s: paired(by_seed.values()) for s, by_seed in of.items()} for t, of in gains.items()}


def tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two orders; None where one of them is constant."""
    from scipy.stats import kendalltau

    found = float(kendalltau(first, second).statistic)
    return None if math.isnan(found) else found


def ceiling(gains: Gains) -> float | None:
    """Mean tau within targets between the gains of two seeds, over their pairs: what one measurement is worth."""
    found = []
    for of in gains.values():
        for a, b in combinations(sorted(set.intersection(*(set(by) for by in of.values()))), 2):
            found.append(tau([by[a] for by in of.values()], [by[b] for by in of.values()]))
    known = [each for each in found if each is not None]
    return mean(known) if known else None


def judged(gains: Gains, scores: Scores) -> dict[str, Any]:
    """How a predictor's order of the sources agrees with the mean gains.

    Returns:
        "tau": mean of Kendall's tau within targets; "regret": mean gain that is lost by taking its first source in
        place of the best one; "random_regret": the same of a source drawn at random; "by_target": tau of each.
    """
    taus, regrets, random = {}, [], []
    for target, of in gains.items():
        sources = [*of]
        truth = [mean(of[s].values()) for s in sources]
        said = [scores[target][s] for s in sources]
        taus[target] = tau(truth, said)
        regrets.append(max(truth) - truth[said.index(max(said))])
        random.append(max(truth) - mean(truth))
    known = [each for each in taus.values() if each is not None]
    about = {"tau": mean(known) if known else None, "by_target": taus}
    return {**about, "regret": mean(regrets), "random_regret": mean(random)}


def choices(
    gains: Gains, scores: Scores, together: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> dict[str, dict[str, Any]]:
    """Target -> gain by the advice (the predictor's first source), at random, by the best pair, and with all sources.

    The best is chosen by the same numbers as it is judged by, so it is a little too good.

    Args:
        gains: of pairs.
        scores: of the predictor.
        together: "all" and "weighted" -> target -> seed -> gain with all sources at once; empty where not measured.
    """
    out: dict[str, dict[str, Any]] = {}
    for target, of in gains.items():
        means = {s: mean(by.values()) for s, by in of.items()}
        advice = max(scores[target], key=scores[target].__getitem__)
        best = max(means, key=means.__getitem__)
        out[target] = {
            "advice": advice,
            "by_advice": paired(of[advice].values()),
            "by_random": mean(means.values()),
            "best": best,
            "by_best": means[best],
            **{f"by_{how}": paired(by[target].values()) if target in by else None for how, by in together.items()},
        }
    return out
