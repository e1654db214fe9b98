"""The document of a guess: what stands at the top of a recipe, and its tasks and options under their questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtadapt.data.guess.tasks import TaskGuess
from vtadapt.data.guess.write import recipe_text
from vtadapt.data.recipe.recipe import list_recipes
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


@dataclass
class Look:
    """What was found in a folder.

    Attributes:
        reader: of the recipe.
        pictures: one line on them for the terminal.
        guesses: the tasks.
        splits: names.
        asked: of the splits.
        sizes: (height, width) of pictures, sorted.
        options: of the reader, without labels.
        notes: on what was left out.
    """

    reader: str
    pictures: str
    guesses: list[TaskGuess]
    splits: list[str]
    asked: list[str]
    sizes: list[tuple[int, int]]
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def document(root: Path, name: str | None, place: str, look: Look) -> Guess:
    """The recipe of what was found.

    Args:
        root: the folder.
        name: of the data set; default: the folder's.
        place: what ``source.folder`` is to say.
        look: what was found.
    """
    size, about_size = size_entry(look.sizes)
    about = {
        "#1": "Written by 'vtadapt recipe': read it, and answer the questions in its comments.",
        "name": name or name_of(root),
        "title": root.resolve().name or "my data",
        "#2": "who may use these pictures?",
        "licence": "unknown",
        "reader": look.reader,
        "source": {"folder": place},
        "splits": look.splits,
        "#3": about_size,
        **size,
    }
    tasks = {guess.name: guess.task for guess in look.guesses}
    labels = {guess.name: guess.labels for guess in look.guesses}
    split = {key: value for key, value in look.options.items() if key == "split"}
    options = {**{k: v for k, v in look.options.items() if k not in split}, "labels": labels, **split}
    image = list(look.notes) if split else [*look.asked, *look.notes]
    questions = {guess.name: guess.questions for guess in look.guesses}
    comments = {"labels": questions, "split": look.asked, "image": image}
    text = recipe_text(about, [("tasks", tasks, {}), ("options", options, comments)])
    lines = [look.pictures, *(f"{guess.name}: {guess.found}" for guess in look.guesses)]
    lines += [f"splits: {', '.join(look.splits)}", *(f"note: {note}" for note in look.notes)]
    return Guess(str(about["name"]), text, lines)


def name_of(folder: Path) -> str:
    """A name for the data set of a folder; one that is free, since those that come with vtadapt are taken."""
    title = folder.resolve().name
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", title).strip("_.-")[: LONGEST - 3] or "mine"
    return f"my_{name}" if name.casefold() in {known.casefold() for known in list_recipes()} else name


def only_name_each(guesses: Sequence[TaskGuess]) -> None:
    """Give each task a name of its own."""
    taken: set[str] = set()
    for guess in guesses:
        other = guess.labels.pop("_name", "")
        if guess.name in taken:
            base = other if re.fullmatch(r"[a-z][a-z0-9_]*", other) and other not in taken else guess.name
            guess.name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, 99))) if n not in taken)
        taken.add(guess.name)


def size_entry(sizes: Sequence[tuple[int, int]]) -> tuple[dict[str, Any], str]:
    """The size to store, where pictures are large or differ, and what to say of it.

    Args:
        sizes: (height, width) of those that were looked at, sorted.
    """
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
    looked = f"{why} ({len(sizes)} looked at)"
    return {"size": size, **fit}, f"pictures are {looked}; this is the size they are stored in{kept}"
