"""The model card of a run: what it was trained on, how good it is, what is in it, how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vtadapt.digits import amount
from vtadapt.errors import VtadaptError
from vtadapt.models.backbones.catalogue import CATALOGUE, CONDITIONS, Known
from vtadapt.tasks import Task
from vtadapt.version import __version__
from vtadapt.workflows.run import files
from vtadapt.workflows.run.added import FOLDER
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.terminal.tables import markdown_table

UNKNOWN = "not known"


@dataclass(frozen=True)
class Facts:
    """What a card tells.

    Attributes:
        run: as it is loaded.
        repository: owner/name.
        results: of its training, or of ``vtadapt eval``; None where nobody has measured it.
        data: (name, title, licence) of each data set; "not known" where its recipe is not there.
        licence: of the adapters themselves, as their owner says.
    """

    run: Loaded
    repository: str
    results: Mapping[str, Any] | None
    data: Sequence[tuple[str, str, str]]
    licence: str | None = None


def facts_of(run: Loaded, repository: str, licence: str | None) -> Facts:
    """Gather what is known of a run; what is not is said to be unknown, never guessed."""
    results: dict[str, Any] | None = None
    for name in (files.RESULTS, "eval-val.json"):
        if (run.path / name).is_file():
            results = files.read_json(run.path / name)
            break
    if results is not None:
        for each in run.added.values():  # measured as they were added; what the results tell themselves is newer
            for data, by_task in each.about["metrics"].items():
                known = results["metrics"].setdefault(data, {})
                known |= {task: values for task, values in by_task.items() if task not in known}
    names = [*run.settings.data_names]
    for each in run.added.values():
        names += [name.strip() for name in str(each.about.get("data", "")).split("+")]
    return Facts(run, repository, results, [_data(name, run) for name in dict.fromkeys(names)], licence)


def _data(name: str, run: Loaded) -> tuple[str, str, str]:
    try:
        recipe = find_recipe(name, Path(run.settings.data_dir))
    except VtadaptError:
        return name, UNKNOWN, UNKNOWN
    return recipe.name, recipe.title, recipe.licence


def card(facts: Facts) -> str:
    """The card as Markdown, with what the Hub reads of it above."""
    run = facts.run
    return "\n".join(
        [
            *("---", yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True).strip(), "---", ""),
            *(f"# {facts.repository.partition('/')[2]}", ""),
            f"{_listed(run.tasks)} from one picture: {_method(run)} on the encoder `{run.settings.encoder}`.",
            f"A run of vtadapt, written here by vtadapt {__version__}.",
            *("", "## How to load it", "", "With vtadapt and its extra `hub`:"),
            *("", "```", f"vtadapt pull {facts.repository}"),
            *(f"vtadapt predict photo.jpg --run {facts.repository}{_weights_option(run)}", "```", "", "```python"),
            *(
                "import vtadapt",
                "",
                f'model = vtadapt.load("{facts.repository}", download=True{_weights_keyword(run)})',
            ),
            *('out = model.predict("photo.jpg")  # task name -> array in units', "```", ""),
            *("## Tasks", "", *_tasks(run.tasks), ""),
            *("## How good it is", "", *_metrics(facts), ""),
            *("## What it was trained on", "", *_table(("data set", "title", "licence"), facts.data), ""),
            *("## What is in it", "", *_contents(facts), ""),
        ]
    )


def _metadata(facts: Facts) -> dict[str, Any]:
    known = _backbone(facts.run) if _typed(facts.run) == "timm" else None
    tags = ["vtadapt", "multitask", "dense-prediction", *sorted({task.kind for task in facts.run.tasks.values()})]
    found: dict[str, Any] = {"library_name": "vtadapt", "tags": tags}
    found |= {"license": facts.licence} if facts.licence else {}
    found |= {"base_model": f"timm/{known.name}"} if known is not None else {}
    return found


def _backbone(run: Loaded) -> Known | None:
    """What the catalogue knows of the run's backbone, whose name may have a tag of its weights after a dot."""
    name = run.settings.encoder
    return next((each for each in CATALOGUE if each.name in (name, name.partition(".")[0])), None)


def _method(run: Loaded) -> str:
    return "small adapters" if run.settings.method == "adapters" else f"the method {run.settings.method!r}"


def _listed(tasks: Mapping[str, Task]) -> str:
    names = [*tasks]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _needs_weights(run: Loaded) -> bool:
    known = _backbone(run)
    return not run.settings.keeps_backbone and not (known is not None and known.bundled) and _typed(run) != "random"


def _typed(run: Loaded) -> str:
    """The backbone's weights as they were named when it was trained."""
    return str(files.read_json(run.path / files.CONFIG)["backbone"]["weights"])


def _source(run: Loaded) -> str:
    typed = _typed(run)
    return typed if typed == "timm" or typed.startswith("hf-hub:") else "FILE"


def _weights_option(run: Loaded) -> str:
    return f" --weights {_source(run)}" if _needs_weights(run) else ""


def _weights_keyword(run: Loaded) -> str:
    return f', weights="{_source(run)}"' if _needs_weights(run) else ""


def _tasks(tasks: Mapping[str, Task]) -> list[str]:
    rows = []
    for name, task in tasks.items():
        what = f"{len(task.classes)} classes: {', '.join(task.classes)}" if task.classes else task.units or "-"
        rows.append((name, task.kind, what))
    return _table(("task", "kind", "classes or units"), rows)


def _metrics(facts: Facts) -> list[str]:
    if facts.results is None:
        return ["Nobody has measured it: the run holds no results."]
    rows = []
    for data, by_task in facts.results["metrics"].items():
        for name, values in by_task.items():
            task = facts.run.tasks.get(name)
            for key, value in values.items():
                if task is None or key.partition("/")[2] in task.classes:
                    continue
                trivial = facts.results.get("trivial", {})
                whose = trivial.get("of", {}).get(data, {}).get(name, {}).get(key)
                floor = f"{amount(trivial['metrics'][data][name][key], 4)} ({whose})" if whose else "-"
                better = "higher" if task.higher_is_better(key) else "lower"
                rows.append((data, name, key, amount(value, 4), better, floor))
    heads = ("data", "task", "metric", "value", "better is", "trivial predictors reach")
    split = facts.results.get("split", "val")
    return [f"Measured by vtadapt on the split {split!r}:", "", *_table(heads, rows)]


def _contents(facts: Facts) -> list[str]:
    run = facts.run
    trained = sum(p.numel() for p in run.model.trained_parameters())
    total = sum(p.numel() for p in run.model.parameters())
    inside = "all of the network" if run.settings.keeps_backbone else "what was trained, and not the frozen backbone"
    own = facts.licence or "its owner has not said"
    size = f"{run.size[0]} x {run.size[1]} (height x width)"
    later = [
        f"- Added later, without a change to the others: {name}, learned from {each.about.get('data', UNKNOWN)} "
        f"(`{FOLDER}/{each.path.name}`)."
        for name, each in run.added.items()
    ]
    return [
        f"- {trained:,} trained parameters of {total:,}; `model.safetensors` holds {inside}.",
        *later,
        f"- Backbone: `{run.settings.encoder}`, weights `{_typed_name(run)}`, licence: {_backbone_licence(run)}.",
        f"- Licence of what was trained: {own}. Those of the backbone and of the data above may bind its use, too.",
        f"- Trained on pictures of {size}, method `{run.settings.method}`, seed {run.settings.seed}.",
        "- Safetensors and text alone: loading it runs no code of this repository.",
    ]


def _backbone_licence(run: Loaded) -> str:
    """That of the weights, where these are the ones that the catalogue knows."""
    known, typed = _backbone(run), _typed(run)
    if typed == "random":
        return "none, its weights were drawn by chance"
    if known is None or (typed != "timm" and not (known.bundled and typed == "auto")):
        return UNKNOWN
    conditions = CONDITIONS.get(known.licence)
    return known.licence if conditions is None else f"{known.licence} ({conditions})"


def _typed_name(run: Loaded) -> str:
    typed = _typed(run)
    return typed if typed in ("auto", "random", "timm") or typed.startswith("hf-hub:") else Path(typed).name


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return markdown_table(heads, rows)
