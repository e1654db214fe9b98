"""From a folder to the recipe to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.annotated import Found, find_annotations, yolo_names
from vtadapt.data.guess.contents import Content, hint_of
from vtadapt.data.guess.document import Guess, Look, document, only_name_each
from vtadapt.data.guess.files import Group, all_files, group_pictures, spread_over
from vtadapt.data.guess.layout import ENOUGH, Pictures, choose_pictures, hit_share, label_pattern, picture_sizes
from vtadapt.data.guess.splits import splits_of
from vtadapt.data.guess.tables import SIZES, look_at_tables
from vtadapt.data.guess.tasks import TaskGuess, colour_names, of_annotations, of_pictures
from vtadapt.errors import DataError


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
    look = look_at_tables(root, files) or _look_at_pictures(root, files)
    return document(root, name, place, look)


def _look_at_pictures(root: Path, files: Sequence[PurePosixPath]) -> Look:
    """What lies in a folder of pictures, with pictures or annotations as labels.

    Raises:
        DataError: no pictures in it, or no labels.
    """
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
    splits, asked = splits_of(root, files, pictures, guesses, options)
    sizes = picture_sizes(root / path for path, _ in spread_over(pictures.paths, SIZES))
    said = f"pictures: {len(pictures.paths)}, {pictures.pattern}"
    return Look("folder", said, guesses, splits, asked, sizes, options, notes)


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
    only_name_each(guesses)
    return guesses, notes
