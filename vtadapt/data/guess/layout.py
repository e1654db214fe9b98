"""Where the pictures of a folder are, how they are divided, and which pattern finds the labels of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from vtadapt.data.guess.contents import Content, hint_of, look
from vtadapt.data.guess.files import WORDS, Group, common_place, spread_over, templated
from vtadapt.data.readers.base import read_lines
from vtadapt.data.readers.files.names import PICTURES
from vtadapt.errors import DataError

TRIED = 200  # pictures by which a pattern of labels is tried
ENOUGH = 0.1  # share of them that must have a label of it


@dataclass
class Pictures:
    """The pictures.

    Attributes:
        pattern: for the recipe; ``{split}`` in it where splits are folders.
        words: of the splits in it.
        root: the pattern's fixed part; "" for the source.
        paths: all of them, with the word of their split.
        exclude: patterns of names that are no pictures.
        only: the word of the one split that all are in, though they are called so.
    """

    pattern: str
    words: list[str]
    root: str
    paths: list[tuple[PurePosixPath, str]]
    exclude: list[str] = field(default_factory=list)


def choose_pictures(
    root: Path, groups: Sequence[Group], annotated: bool
) -> tuple[Pictures, list[tuple[Group, Content]]]:
    """The pictures, and the other groups with what they hold.

    Args:
        root: the source.
        groups: of all pictures and arrays in it.
        annotated: whether labels are in files of annotations: pictures are then photographs, however few colours.

    Raises:
        DataError: there are none.
    """
    seen = [(group, look(root, group)) for group in groups]
    best = max((_likeness(group, content, annotated) for group, content in seen), default=0)
    if best <= 0:
        raise DataError(f"{root}: no pictures among {sum(len(g.every) for g in groups)} files; wanted photographs")
    chosen = [group for group, content in seen if _likeness(group, content, annotated) == best]
    chosen += [g for g, c in seen if g not in chosen and c.kind == "photo" and _beside(g, chosen)]
    rest = [(group, content) for group, content in seen if group not in chosen]
    return _pattern(chosen, rest), rest


def _likeness(group: Group, content: Content, annotated: bool) -> int:
    """How much like photographs a group looks; 0: not at all."""
    hint = hint_of(group)
    if group.suffix not in PICTURES or group.ending and content.kind != "photo":
        return 0
    if content.kind != "photo" and not (
        content.kind in ("colours", "ids", "binary") and (annotated or hint == "photo")
    ):
        return 0
    points = 1 + 4 * (content.kind == "photo") + 3 * (hint == "photo") - 4 * (hint in ("ids", "numbers", "strengths"))
    return max(0, points - 2 * bool(group.ending))


def _beside(group: Group, chosen: Sequence[Group]) -> bool:
    """Whether photographs of another suffix lie where the chosen ones do."""
    return not group.ending and any(group.place == other.place for other in chosen)


def _pattern(chosen: Sequence[Group], rest: Sequence[tuple[Group, Content]]) -> Pictures:
    places = sorted({group.place for group in chosen})
    suffixes = sorted({group.suffix for group in chosen})
    endings = {group.ending for group in chosen if group.ending}
    name = f"*{endings.pop()}" if len(endings) == 1 and all(group.ending for group in chosen) else "*"
    name += suffixes[0] if len(suffixes) == 1 else ".*"
    by_split = len(places) == 1 and any(group.words for group in chosen)
    root = places[0] if by_split else common_place(places)
    deep = "**/" if len(places) > 1 else ""
    words = sorted({w for g in chosen for w in g.words}, key=lambda w: [*WORDS].index(w.lower())) if by_split else []
    paths = [(path, word) for group in chosen for word, of in group.files.items() for path in of]
    within = [g for g, _ in rest if g.place in places or deep and (not root or g.place.startswith(root))]
    exclude = sorted(
        {f"*{g.ending}{g.suffix}" for g in within if (g.ending or g.suffix not in suffixes) and _met(g, name)}
    )
    pattern = "/".join(filter(None, (root, f"{deep}{name}")))
    return Pictures(pattern, words, root, sorted(paths), exclude)


def _met(group: Group, name: str) -> bool:
    """Whether the pattern of the pictures' names would take a group's files for pictures, too."""
    return name.endswith(".*") or name.endswith(group.suffix)


def label_pattern(pictures: Pictures, group: Group, siblings: Iterable[Group]) -> tuple[str, float]:
    """The pattern that finds the labels of most pictures, and of what share of them.

    Args:
        pictures: the pictures.
        group: of labels.
        siblings: groups of the same ending and suffix, of other folders.
    """
    name = f"{group.ending}{group.suffix}"
    places = [one.place for one in (group, *siblings)]
    there = {path.as_posix().lower() for one in (group, *siblings) for path in one.every}
    tried = [
        "/".join(filter(None, (place, "{" + key + "}" + name)))
        for key in ("path", "stem")  # the first of equally good ones: folders tell pictures of one name apart
        for place in dict.fromkeys((group.place, common_place(places)))
    ]
    found = [(hit_share(pictures, pattern, there), pattern) for pattern in tried]
    share, pattern = max(found, key=lambda one: one[0])
    return pattern, share


def hit_share(pictures: Pictures, pattern: str, there: set[str]) -> float:
    """The share of the pictures that a pattern finds a label of.

    ``there``: the paths of all label files, in small letters.
    """
    some = spread_over(pictures.paths, TRIED)
    hits = 0
    for path, word in some:
        values = {"path": path_below(pictures, path, word), "stem": path.stem, "name": path.name, "split": word}
        hits += pattern.format(**values).lower() in there
    return hits / len(some)


def path_below(pictures: Pictures, path: PurePosixPath, word: str) -> str:
    """``{path}`` of a picture."""
    root = pictures.root.replace("{split}", word)
    below = path.relative_to(root) if root else path
    return below.with_suffix("").as_posix()


def find_lists(root: Path, files: Iterable[PurePosixPath], pictures: Pictures) -> tuple[str, list[str]] | None:
    """The pattern of text files that list the pictures of each split, and the words of these."""
    names = {path.stem for path, _ in pictures.paths}
    by_pattern: dict[str, list[str]] = {}
    for path in files:
        pattern, word = templated(path)
        if path.suffix.lower() not in (".txt", ".lst") or not word or templated(path.parent)[1]:
            continue
        try:
            lines = read_lines(root / path)
        except DataError:
            continue
        if lines and all(PurePosixPath(line.replace("\\", "/")).stem in names for line in lines[:20]):
            by_pattern.setdefault(pattern, []).append(word)
    useful = {p: sorted(w, key=lambda x: [*WORDS].index(x.lower())) for p, w in by_pattern.items() if len(w) > 1}
    return next(iter(sorted(useful.items(), key=lambda item: -len(item[1]))), None)


def picture_sizes(sources: Iterable[Path | BytesIO]) -> list[tuple[int, int]]:
    """(height, width) of pictures as they are shown, sorted; those that cannot be read are left out."""
    from PIL import Image

    sizes = []
    for source in sources:
        try:
            with Image.open(source) as picture:
                turned = picture.getexif().get(0x0112) in (5, 6, 7, 8)
                sizes.append((picture.width, picture.height) if turned else (picture.height, picture.width))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return sorted(sizes)
