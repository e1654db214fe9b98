"""How the pictures of a folder are divided: by folders, files of annotations, lists, tables, or by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.files import WORDS
from vtadapt.data.guess.layout import Pictures, find_lists
from vtadapt.data.guess.tasks import TaskGuess
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.errors import DataError


def splits_of(
    root: Path,
    files: Sequence[PurePosixPath],
    pictures: Pictures,
    guesses: Sequence[TaskGuess],
    options: dict[str, Any],
) -> tuple[list[str], list[str]]:
    """Names of the splits, and what to ask; ``options`` get what divides the pictures."""
    if pictures.words:
        return named(pictures.words, options, "folders")
    for guess in guesses:
        if _of_many(guess.labels) and "{split}" in guess.labels["files"]:
            options["split"] = {"annotations": guess.name}
            return named(_words_of(files, guess.labels["files"]), options, "files of annotations")
    if (lists := find_lists(root, files, pictures)) is not None:
        options["split"] = {"lists": lists[0]}
        return named(lists[1], options, "lists")
    if len(pictures.paths) < 2:
        raise DataError(f"{root}: one picture; wanted at least two, one to train on and one to measure on")
    return by_shares(options, "'lists' can tell them apart")


def _of_many(labels: Mapping[str, Any]) -> bool:
    """Whether a file holds the annotations of many pictures."""
    return labels.get("format") is not None and FORMATS[labels["format"]].many


def _words_of(files: Sequence[PurePosixPath], pattern: str) -> list[str]:
    """The words of splits that a pattern of files stands for."""
    head, _, tail = pattern.partition("{split}")
    names = {path.as_posix() for path in files}
    found = [word for word in spellings() if f"{head}{word}{tail.replace('{split}', word)}" in names]
    return sorted(found, key=lambda word: [*WORDS].index(word.lower()))


def by_shares(options: dict[str, Any], way_out: str = "") -> tuple[list[str], list[str]]:
    """Names of the splits where nothing tells them apart, and what to ask."""
    options["split"] = {"fractions": {"train": 0.8, "val": 0.2}, "seed": 0}
    asked = "one film, or one scene, in both parts makes results look better than they are"
    return ["train", "val"], [f"{asked}; {way_out}" if way_out else asked]


def spellings() -> list[str]:
    """The words of splits, as people write them."""
    return [spelt for word in WORDS for spelt in (word, word.capitalize(), word.upper())]


def named(words: Sequence[str], options: dict[str, Any], what: str) -> tuple[list[str], list[str]]:
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
