"""From a folder to the recipe to start from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.annotated import Found, find_annotations, yolo_names
from vtadapt.data.guess.contents import Content, hint_of
from vtadapt.data.guess.files import WORDS, Group, all_files, group_pictures
from vtadapt.data.guess.layout import (
    ENOUGH,
    Pictures,
    choose_pictures,
    common_size,
    find_lists,
    hit_share,
    label_pattern,
)
from vtadapt.data.guess.tasks import TaskGuess, colour_names, of_annotations, of_pictures
from vtadapt.data.guess.write import recipe_text
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.recipe.recipe import list_recipes
from vtadapt.errors import DataError
from vtadapt.tasks.names import LONGEST

LARGE = 640  # pixels of the longer side from which on pictures are stored smaller
SIDE = 32  # sides are multiples of it


@dataclass
class Guess:
    """A recipe, and what it was made of.

    Attributes:
        name: of the data set.
        text: the recipe.
        found: lines for the terminal.
    """

    name: str
    text: str
    found: list[str]


def guess_recipe(root: Path, name: str | None, place: str) -> Guess:
    """The recipe that fits a folder.

    Args:
        root: the folder.
        name: of the data set; default: the folder's.
        place: what ``source.folder`` is to say.

    Raises:
        DataError: no pictures in it, or no labels.
    """
    files = all_files(root)
    groups = group_pictures(files)
    stems = {path.stem for group in groups for path in group.every}
    annotations = find_annotations(root, files, stems)
    inside = _inside(groups, annotations)
    pictures, rest = (inside, []) if inside is not None else choose_pictures(root, groups, bool(annotations))
    guesses, notes = _tasks(root, files, pictures, rest, annotations)
    if not guesses:
        raise DataError(
            f"{root}: {len(pictures.paths)} pictures ({pictures.pattern}), and nothing that looks like their labels"
        )
    options: dict[str, Any] = {"image": pictures.pattern}
    if pictures.exclude:
        options["exclude"] = pictures.exclude
    splits, asked = _splits(root, files, pictures, guesses, options)
    size, about_size = _size(root, pictures)
    title = root.resolve().name or "my data"
    about = {
        "#1": "Written by 'vtadapt recipe': read it, and answer the questions in its comments.",
        "name": name or name_of(root),
        "title": title,
        "#2": "who may use these pictures?",
        "licence": "unknown",
        "reader": "folder",
        "source": {"folder": place},
        "splits": splits,
        "#3": about_size,
        **size,
    }
    tasks = {guess.name: guess.task for guess in guesses}
    labels = {guess.name: guess.labels for guess in guesses}
    options = {**{k: v for k, v in options.items() if k != "split"}, "labels": labels, **_only(options, "split")}
    comments = {"labels": {guess.name: guess.questions for guess in guesses}, "split": asked, "image": [*asked, *notes]}
    if "split" in options:
        comments["image"] = list(notes)
    text = recipe_text(about, [("tasks", tasks, {}), ("options", options, comments)])
    lines = [f"pictures: {len(pictures.paths)}, {pictures.pattern}"]
    lines += [f"{guess.name}: {guess.found}" for guess in guesses]
    return Guess(str(about["name"]), text, [*lines, f"splits: {', '.join(splits)}", *(f"note: {n}" for n in notes)])


def _only(options: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: options[key]} if key in options else {}


def name_of(folder: Path) -> str:
    """A name for the data set of a folder; one that is free, since those that come with vtadapt are taken."""
    title = folder.resolve().name
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", title).strip("_.-")[: LONGEST - 3] or "mine"
    return f"my_{name}" if name.casefold() in {known.casefold() for known in list_recipes()} else name


def _inside(groups: Sequence[Group], annotations: Sequence[Found]) -> Pictures | None:
    """The pictures that LabelMe's files hold themselves, where there are no others."""
    found = next((one for one in annotations if one.form == "labelme"), None)
    if found is None or groups:
        return None
    pattern = found.files.replace("{path}", "*")
    root = pattern.rpartition("/")[0]
    return Pictures(pattern, found.words, root, [(path, "") for path in found.own])


def _tasks(
    root: Path,
    files: Sequence[PurePosixPath],
    pictures: Pictures,
    rest: Sequence[tuple[Group, Content]],
    annotations: Sequence[Found],
) -> tuple[list[TaskGuess], list[str]]:
    """The tasks, each with a name of its own, and notes on files that were left out."""
    guesses: list[TaskGuess] = []
    notes: list[str] = []
    for found in annotations:
        guess = of_annotations(found, yolo_names(root, files) if found.numbers else {})
        fits = bool(found.pictures) or hit_share(pictures, found.files, {p.as_posix().lower() for p in found.own}) > 0
        if guess is None or not fits:
            notes.append(f"{found.files}: {found.form}, of no use here{f' ({found.problem})' if found.problem else ''}")
        elif any(other.labels.get("format") for other in guesses):
            notes.append(f"{found.files}: more annotations ({found.form}), left out")
        else:
            guesses.append(guess)
    known = colour_names(root, files)
    done: set[tuple[str, str]] = set()
    for group, content in sorted(rest, key=lambda one: -len(one[0].every)):
        if (group.ending + group.suffix, group.place) in done:
            continue
        siblings = [g for g, _ in rest if g is not group and (g.ending, g.suffix) == (group.ending, group.suffix)]
        pattern, share = label_pattern(pictures, group, siblings)
        if share < ENOUGH:
            notes.append(f"{len(group.every)} files like {group.every[0]} go with no picture")
            continue
        below = pattern.partition("{path}")[0] if "{path}" in pattern else None
        done |= {(g.ending + g.suffix, g.place) for g in siblings if below and f"{g.place}/".startswith(below)}
        called = group.ending or group.place.replace("{split}", "").strip("/").rpartition("/")[2]
        if (one := of_pictures(content, pattern, called, hint_of(group), known)) is None:
            notes.append(f"{pattern}: it is not clear what these hold")
        else:
            guesses.append(one)
    _rename(guesses)
    return guesses, notes


def _rename(guesses: Sequence[TaskGuess]) -> None:
    """Give each task a name of its own."""
    taken: set[str] = set()
    for guess in guesses:
        other = guess.labels.pop("_name", "")
        if guess.name in taken:
            base = other if re.fullmatch(r"[a-z][a-z0-9_]*", other) and other not in taken else guess.name
            guess.name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, 99))) if n not in taken)
        taken.add(guess.name)


def _splits(
    root: Path,
    files: Sequence[PurePosixPath],
    pictures: Pictures,
    guesses: Sequence[TaskGuess],
    options: dict[str, Any],
) -> tuple[list[str], list[str]]:
    """Names of the splits, and what to ask; ``options`` get what divides the pictures."""
    if pictures.words:
        return _named(pictures.words, options, "folders")
    for guess in guesses:
        if _of_many(guess.labels) and "{split}" in guess.labels["files"]:
            options["split"] = {"annotations": guess.name}
            return _named(_words_of(files, guess.labels["files"]), options, "files of annotations")
    if (lists := find_lists(root, files, pictures)) is not None:
        options["split"] = {"lists": lists[0]}
        return _named(lists[1], options, "lists")
    if len(pictures.paths) < 2:
        raise DataError(f"{root}: one picture; wanted at least two, one to train on and one to measure on")
    options["split"] = {"fractions": {"train": 0.8, "val": 0.2}, "seed": 0}
    asked = "one film, or one scene, in both parts makes results look better than they are; 'lists' can tell them apart"
    return ["train", "val"], [asked]


def _of_many(labels: Mapping[str, Any]) -> bool:
    """Whether a file holds the annotations of many pictures."""
    return labels.get("format") is not None and FORMATS[labels["format"]].many


def _words_of(files: Sequence[PurePosixPath], pattern: str) -> list[str]:
    """The words of splits that a pattern of files stands for."""
    head, _, tail = pattern.partition("{split}")
    names = {path.as_posix() for path in files}
    found = [word for word in _spellings() if f"{head}{word}{tail.replace('{split}', word)}" in names]
    return sorted(found, key=lambda word: [*WORDS].index(word.lower()))


def _spellings() -> list[str]:
    return [spelt for word in WORDS for spelt in (word, word.capitalize(), word.upper())]


def _named(words: Sequence[str], options: dict[str, Any], what: str) -> tuple[list[str], list[str]]:
    """Our names of splits, and in ``options`` how the files call them."""
    ours = {WORDS[word.lower()]: word for word in reversed(words)}
    asked = []
    if "val" not in ours:
        ours["val"] = ours.pop("test")
        asked.append(f"there are no {what} of a validation split: {ours['val']!r} is measured on")
    if "train" not in ours:
        ours["train"] = ours.pop("test")
        asked.append(f"there are no {what} of a training split: {ours['train']!r} is trained on")
    if names := {split: word for split, word in ours.items() if split != word}:
        options["split_names"] = names
    return [split for split in ("train", "val", "test") if split in ours], asked


def _size(root: Path, pictures: Pictures) -> tuple[dict[str, Any], str]:
    """The size to store, where pictures are large or differ, and what to say of it."""
    sizes, looked = common_size(root, pictures)
    if not sizes:
        return {}, "pictures are stored in their own size; say 'size: [HEIGHT, WIDTH]' for another"
    ratios = sorted(width / height for height, width in sizes)
    middle = ratios[len(ratios) // 2]
    height, width = sorted(sizes)[len(sizes) // 2]
    longer = max(height, width)
    if len(set(sizes)) == 1 and longer <= LARGE:
        return {}, f"pictures are stored in their own size, {height}x{width}; 'size: [HEIGHT, WIDTH]' says another"
    side = min(longer, LARGE)
    stored = (side / middle, side) if middle >= 1 else (side, side * middle)
    size = [max(SIDE, round(value / SIDE) * SIDE) for value in stored]
    unlike = any(abs(ratio / middle - 1) > 0.02 for ratio in ratios) or abs(size[1] / size[0] / middle - 1) > 0.02
    fit = {"fit": "pad"} if unlike else {}
    why = "of several sizes" if len(set(sizes)) > 1 else f"of {height}x{width}"
    kept = "; 'fit: pad' keeps each aspect ratio, 'crop' takes the middle, 'squeeze' does not keep it" if unlike else ""
    return {"size": size, **fit}, f"pictures are {why} ({looked} looked at); this is the size they are stored in{kept}"
