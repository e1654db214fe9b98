"""A yardstick as tables: gains by source and target, how predictors order them, and what following them gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.workflows.gain.words import advice, percent
from vtadapt.workflows.terminal.tables import Table, markdown_table, show_result
from vtadapt.workflows.terminal.text import show_json

Rows = tuple[list[str], list[list[str]]]


def show_gain(result: Mapping[str, Any], as_json: bool) -> None:
    """Print the tables and the advice."""

    def layout() -> list[Table | str]:
        shown = [_table(title, *rows) for title, rows in parts(result)]
        return [*shown, *advice(result), f"{result['folder']}"]

    show_result(result, as_json, layout)


def show_gains(results: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print several one after the other; as JSON a list where there is not one alone: stdout holds one document."""
    if as_json and len(results) > 1:
        show_json([*results])
        return
    for result in results:
        show_gain(result, as_json)


def parts(result: Mapping[str, Any]) -> list[tuple[str, Rows]]:
    """The tables that there are, with their titles."""
    out = [(f"score of each source (down) for {result['scarce']} labels of each target (across)", _scores(result))]
    if result["gains"]:
        out.append(("measured gain in the headline metric, 95 % interval over seeds", _gains(result)))
    if "judged" in result:
        out.append(("how each predictor orders the measured gains", _judged(result)))
        out.append(("gain of a target by what is added to it", _choices(result)))
    return out


def markdown(result: Mapping[str, Any]) -> str:
    """All tables and the advice as a page."""
    lines: list[str] = []
    for title, (heads, rows) in parts(result):
        lines += [f"{title[0].upper()}{title[1:]}:", "", *markdown_table(heads, rows), ""]
    return "\n".join([*lines, *(f"- {line}" for line in advice(result)), ""])


def _table(title: str, heads: list[str], rows: list[list[str]]) -> Table:
    table = Table(title)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _scores(result: Mapping[str, Any]) -> Rows:
    targets = [*result["scores"]]
    rows = []
    for source in result["tasks"]:
        cells = [result["scores"][target].get(source) for target in targets]
        rows.append([source, *("" if cell is None else f"{cell:.3f}" for cell in cells)])
    return ["", *targets], rows


def _gains(result: Mapping[str, Any]) -> Rows:
    gains = result["gains"]
    rows = [[s, *(percent(of.get(s)) if s in of else "" for of in gains.values())] for s in result["tasks"]]
    return ["", *gains], rows


def _judged(result: Mapping[str, Any]) -> Rows:
    rows = []
    seconds = result["cpu_seconds"]
    for name in result["judged"]:
        cost = seconds["predicting"][name] / seconds["measuring"]
        rows.append([name, *_agreement(result, "", name), *_agreement(result, "_by_loss", name), f"{100 * cost:.1f} %"])
    known = [_tau(result[key]) for key in ("ceiling", "ceiling_by_loss")]
    rows.append(["one seed against another", known[0], "", known[1], "", ""])
    heads = [
        "predictor",
        "tau",
        "regret of random's",
        "tau, by loss",
        "regret of random's, by loss",
        "cost of measuring",
    ]
    return heads, rows


def _agreement(result: Mapping[str, Any], how: str, name: str) -> list[str]:
    """Tau within targets, and the regret of the first source as a share of that of one drawn at random."""
    found = result[f"judged{how}"][name]
    share = found["regret"] / found["random_regret"] if found["random_regret"] else 0.0
    return [_tau(found["tau"]), f"{share:.2f}"]


def _tau(found: float | None) -> str:
    return "-" if found is None else f"{found:.2f}"


def _choices(result: Mapping[str, Any]) -> Rows:
    rows = []
    for target, found in result["choices"].items():
        advised = f"{percent(found['by_advice'])} ({found['advice']})"
        best = f"{100 * found['by_best']:+.1f} % ({found['best']})"
        both = [percent(found[key]) for key in ("by_all", "by_weighted")]
        rows.append([target, advised, f"{100 * found['by_random']:+.1f} %", best, *both])
    return ["target", "advice", "random", "best of those measured", "all sources", "all, weighted by score"], rows
