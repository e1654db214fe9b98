"""What a source holds and lacks, before anything is converted: ``prepare-data --dry-run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.data.prepare.aspect import survey_aspect
from vtadapt.data.prepare.find_samples import absent_labels, find_split, looked_for
from vtadapt.data.prepare.inside import led_outside
from vtadapt.data.prepare.options import Plan
from vtadapt.data.readers.base import is_there
from vtadapt.data.readers.table import Item, Reader, make_reader
from vtadapt.data.recipe.files import ExpectedFile
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.source.links import HOW
from vtadapt.errors import DataError, VtadaptError
from vtadapt.tasks.class_ids import RESERVED


def survey(plan: Plan, source: Path | None, listed: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Look through a source without opening its pictures, but for the headers that tell their sizes.

    Args:
        plan: of ``vtadapt.data.prepare.options.resolve``.
        source: the user's folder or file; None for synthetic sets, or where there is none yet.
        listed: bytes of the files that were given, by name; default those of ``source``.

    Returns:
        ``files`` (those the recipe expects, with what was found), ``splits`` (samples, labels found and missing per
        task, the first file missing, pictures of another aspect ratio), ``problems`` (why ``prepare`` would stop; empty
        if it would not), ``passed_over`` (files that nearly match: how many, and the first, for each reason),
        ``outside`` (files outside the source, to which links in it lead).
    """
    recipe = plan.recipe
    result: dict[str, Any] = {
        "name": recipe.name,
        "source": None if source is None else str(source),
        "size": plan.size,
        "fit": recipe.fit,
        "label_sets": {task: spec.label_set for task, spec in recipe.tasks.items() if spec.label_set},
        "files": [_expected(file, source, listed) for file in recipe.source.files],
        "splits": {},
        "problems": [],
        "passed_over": [],
        "outside": [],
    }
    if source is None and not recipe.source.synthetic:
        result["problems"].append(f"no --source was given; {recipe.source.hint or recipe.source.layout}")
        return result
    reader = make_reader(recipe, plan.size, plan.tasks)
    found: dict[str, Sequence[Item]] = {}
    for split in plan.splits:
        try:
            found[split] = find_split(reader, source, split)[: plan.limit]
        except DataError as error:
            result["problems"].append(str(error))
            continue
        optional = split in reader.options.optional_splits
        if not found[split] and not optional:
            result["problems"].append(f"no samples for split {split!r}")
        if found[split] or not optional:
            result["splits"][split] = _split(reader, found[split], plan)
    result["problems"] += _problems(reader, found, plan, source)
    result["passed_over"] = reader.passed_over.lines()
    if source is not None:
        result["outside"] = led_outside((item for items in found.values() for item in items), source)
        if not plan.follow_links:
            result["problems"] += [f"{line}; {HOW}" for line in result["outside"]]
    return result


def _expected(file: ExpectedFile, source: Path | None, listed: Mapping[str, int] | None) -> dict[str, Any]:
    """An expected download beside what was found of that name."""
    entry = file.model_dump(exclude_none=True)
    name = Path(file.path).name
    size = (listed or {}).get(name)
    if size is None and source is not None:
        near = [source] if source.name == name else [source / file.path, source / name]
        there = next((path for path in near if path.exists()), None)
        if there is not None:
            size = there.stat().st_size if there.is_file() else None
            entry["found"] = "folder" if there.is_dir() else size
    else:
        entry["found"] = size
    entry.setdefault("found", None)
    wrong = isinstance(entry["found"], int) and file.bytes is not None and entry["found"] != file.bytes
    entry["state"] = "not seen" if entry["found"] is None else "another size" if wrong else "found"
    return entry


def _split(reader: Reader, items: Sequence[Item], plan: Plan) -> dict[str, Any]:
    """Samples and labels of one split."""
    tasks: dict[str, dict[str, Any]] = {}
    having = [reader.tasks_of(item) for item in items]
    for task in plan.tasks:
        entry: dict[str, Any] = {"labels": sum(task in has for has in having)}
        how = reader.recipe.tasks[task].derive
        if how is not None:
            entry["derived_from"] = how.source
        entry["missing"], entry["first_missing"] = 0, None
        tasks[task] = entry
    for task, looked in absent_labels(items, plan.tasks).items():
        tasks[task] |= {"missing": looked["samples"], "first_missing": looked["first"]}
    lost = [path for item in items for path in item.paths.values() if not is_there(path)]
    aspect = survey_aspect(items, plan.size)
    return {
        "samples": len(items),
        **({} if aspect is None else {"aspect": aspect}),
        "first": items[0].name if items else None,
        "last": items[-1].name if items else None,
        "tasks": tasks,
        "files_missing": len(lost),
        "first_file_missing": str(lost[0]) if lost else None,
    }


def _problems(reader: Reader, found: Mapping[str, Sequence[Item]], plan: Plan, source: Path | None) -> list[str]:
    """What stops ``prepare`` beside the splits."""
    problems = []
    try:
        reader.check(source, found)
    except VtadaptError as error:
        problems.append(str(error))
    if not any(found.values()):
        return problems
    lost = [p for items in found.values() for i in items for p in i.paths.values() if not is_there(p)]
    if lost and not plan.skip_broken:
        problems.append(
            f"{lost[0]}: no such file ({len(lost)} missing in all); wanted {reader.every_sample_has} "
            "(--skip-broken leaves such samples out)"
        )
    having = {task for items in found.values() for item in items for task in reader.tasks_of(item)}
    without = [task for task in plan.tasks if task not in having]
    if without and (plan.asked or len(without) == len(plan.tasks)):
        problems.append(f"no sample has a label for {without[0]!r}: {looked_for(reader, found, without[0])}")
    return problems


def describe(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says to its user, for ``data-sets NAME``: everything but the reader's options."""
    return {
        "name": recipe.name,
        "title": recipe.title,
        "licence": recipe.licence,
        "citation": recipe.citation,
        "source": recipe.source.model_dump(exclude_none=True),
        "splits": list(recipe.splits),
        "size": recipe.size,
        "label_sets": {name: [c for c in known.classes if c != RESERVED] for name, known in recipe.label_sets.items()},
        "class_maps": list(recipe.class_maps),
        "tasks": {
            name: {
                "kind": task.kind,
                "units": task.units,
                "classes": sum(c != RESERVED for c in task.classes) or None,
                "label_set": task.label_set or None,
                "derived": task.derived,
                "conventions": task.conventions,
            }
            for name, task in recipe.tasks.items()
        },
    }
