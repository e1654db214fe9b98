"""``manifest.json``: what a pack holds, written last, and the door through which packs are opened."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vtadapt.atomic import write_json
from vtadapt.data.pack.blocks import ENTRY, Blocks, read_table, scan, table_of, whole, write_table
from vtadapt.data.pack.pack import PackReader
from vtadapt.data.pack.shards import ShardedReader
from vtadapt.data.recipe.recipe import Recipe, list_recipes, load_recipe
from vtadapt.data.recipe.strict import explain
from vtadapt.errors import DataError
from vtadapt.strict_json import read_checked

FORMAT = "vtadapt-manifest"
VERSION = 2  # 1: one file per split
FILE = "manifest.json"
READ_WHOLE = 256 << 20  # bytes of a split without tables that are read through before it is opened: half a second


def checksum(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_file(path: Path, samples: int) -> dict[str, Any]:
    """Entry of one file of a split: name, bytes, checksum, samples, checksum of its table, which is written."""
    digest, blocks = scan(path)
    entry = {"file": path.name, "bytes": blocks.size, "sha256": digest, "samples": samples}
    return {**entry, ENTRY: write_table(path, blocks)}


def blocks_of(path: Path, shard: Mapping[str, Any], trusted: bool = False) -> Blocks | None:
    """The checksums of one file's blocks: its table's or, for packs of before tables, of the whole file.

    Args:
        path: the file.
        shard: its entry in the manifest.
        trusted: files without a table are not read whole first: None for them.

    Raises:
        DataError: the table, or the file without one, is missing or not as it was written.
    """
    if ENTRY in shard and table_of(path).exists():
        return read_table(path, shard["bytes"], shard[ENTRY])
    # A table that got lost, as where only the .h5 files were copied, is no reason to prepare a set again.
    return None if trusted and ENTRY not in shard else whole(path, shard.get("sha256", ""))


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``manifest.json`` atomically and return it as a reader would see it."""
    whole = {"format": FORMAT, "version": VERSION, **content}
    manifest = _checked(json.loads(json.dumps(whole)), folder / FILE)
    write_json(folder / FILE, whole, checked=True)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a pack's folder.

    Raises:
        DataError: missing, not JSON, or of another format.
    """
    path = folder / FILE
    try:
        manifest = read_checked(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; prepare the data set again") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: broken manifest ({' '.join(str(error).split())[:120]}); prepare it again") from error
    return _checked(manifest, path)


def _checked(manifest: Any, path: Path) -> dict[str, Any]:
    """A manifest in today's form; DataError where it is of another format, or its parts are not as they should be."""
    if isinstance(manifest, dict) and (manifest.get("format"), manifest.get("version")) == (FORMAT, 1):
        manifest = _from_version_1(manifest, path)
    found = (manifest.get("format"), manifest.get("version")) if isinstance(manifest, dict) else (None, None)
    if found != (FORMAT, VERSION):
        raise DataError(f"{path}: found format {found[0]} {found[1]}, wanted {FORMAT} {VERSION}; prepare it again")
    assert isinstance(manifest, dict)
    _check_form(manifest, path)
    return manifest


def _check_form(manifest: Mapping[str, Any], path: Path) -> None:
    """Raise a DataError where the parts that packs are opened by are not what they should be."""
    try:
        shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
        good = all(isinstance(shard["file"], str) and "\0" not in shard["file"] for shard in shards)
        good = good and all(isinstance(shard.get(key, ""), str) for shard in shards for key in ("sha256", ENTRY))
        good = good and all(isinstance(shard.get("bytes"), int) for shard in shards if ENTRY in shard)
        good = good and all(
            split["shards"] and _are_counts(split.get("tasks", {})) for split in manifest["splits"].values()
        )
        good = good and set(manifest["tasks"]) <= set(manifest["recipe"]["tasks"])
    except (AttributeError, KeyError, TypeError):
        good = False
    if not good:
        raise DataError(f"{path}: broken manifest (splits or tasks are not as they should be); prepare it again")


def _are_counts(tasks: Mapping[str, Any]) -> bool:
    """Whether what a manifest says of a split's labels are numbers, or None where there are none."""
    for stats in tasks.values():
        known = (stats.get(key) for key in ("samples", "valid_share", "min", "max"))
        numbers = [*known, *stats.get("pixels_per_class", {}).values()]
        if not all(number is None or isinstance(number, int | float) for number in numbers):
            return False
    return True


def _from_version_1(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """The manifest of a pack made before splits could have several files, in today's form."""
    keys = ("file", "bytes", "sha256", "samples")
    try:
        splits = {
            name: {
                **{k: v for k, v in entry.items() if k not in (*keys[:3], "names")},
                "shards": [{k: entry[k] for k in keys}],
            }
            for name, entry in manifest["splits"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: broken manifest (its splits are not as they should be); prepare it again") from error
    return {**manifest, "version": VERSION, "splits": splits}


def manifest_recipe(manifest: Mapping[str, Any]) -> Recipe:
    """The recipe that a pack was made with; DataError where this version cannot read it."""
    try:
        return Recipe.model_validate(manifest["recipe"])
    except (KeyError, ValidationError) as error:
        text = explain(error, Recipe) if isinstance(error, ValidationError) else "no recipe"
        name = manifest.get("name")
        raise DataError(f"pack {name!r}: its recipe cannot be read ({text}); prepare it again") from error


def other_recipe(manifest: Mapping[str, Any], recipe: Recipe) -> str:
    """The title of the recipe that a pack was made with, where that is no version of ``recipe``; else empty."""
    made_with = manifest.get("recipe", {})
    same = made_with.get("title", "") == recipe.title and made_with.get("reader", recipe.reader) == recipe.reader
    return "" if same else repr(str(made_with.get("title", "")))


def prepare_command(name: str, recipe: Recipe | None = None, splits: Sequence[str] = ()) -> str:
    """The command that makes the pack ``name``.

    Args:
        name: data set; one that is no shipped recipe needs its user's own file.
        recipe: of the pack, where there is one; default: the shipped one.
        splits: only these; default all.
    """
    shipped = name in list_recipes()
    recipe = recipe or (load_recipe(name) if shipped else None)
    source = "" if recipe is not None and recipe.source.synthetic else " --source PATH"
    only = f" --splits {','.join(splits)}" if splits else ""
    return f"vtadapt prepare-data {name if shipped else 'YOUR.yaml'}{source}{only}"


def locate(root: Path, name: str) -> Path:
    """Folder of a pack; the previous one's if a run was killed just between the two renames of an exchange."""
    folder, previous = Path(root) / name, Path(root) / f".{name}.previous"
    return previous if not folder.exists() and previous.is_dir() else folder


def has_pack(root: Path, name: str) -> bool:
    """Whether a finished pack of that name is there."""
    return (locate(root, name) / FILE).is_file()


def open_manifest(root: Path, name: str) -> dict[str, Any]:
    """The manifest of pack ``name`` below ``root``; DataError with the command that makes it where there is none."""
    folder = locate(root, name)
    if not (folder / FILE).is_file():
        raise DataError(f"no data set {name!r} in {root}; prepare it with: {prepare_command(name)}")
    return read_manifest(folder)


def open_pack(root: Path, name: str, split: str) -> PackReader:
    """Open one split of a pack for reading.

    Args:
        root: folder of the packs (``data``).
        name: data set.
        split: one of those it was prepared with.

    Raises:
        DataError: no such pack or split in it (the message has the command that makes it), or a file missing, cut short
            or broken.
        UsageError: the data set has no such split.
    """
    manifest = open_manifest(root, name)
    recipe = manifest_recipe(manifest)
    splits = manifest.get("splits", {})
    if split not in splits:
        recipe.need_split(split)
        raise _no_split(name, recipe, splits, split)
    folder = locate(root, name)
    shards = splits[split]["shards"]
    paths = [_file_of(folder, shard, prepare_command(name, recipe)) for shard in shards]
    tasks = {t: recipe.tasks[t] for t in manifest["tasks"]}
    large = sum(shard["bytes"] for shard in shards if ENTRY not in shard) > READ_WHOLE
    readers = []
    for path, shard in zip(paths, shards, strict=True):
        readers.append(PackReader(path, tasks, blocks_of(path, shard, trusted=large)))
        if len(paths) > 1:  # a system allows some hundred open files
            readers[-1].close()
    return readers[0] if len(readers) == 1 else ShardedReader(readers)


def _file_of(folder: Path, shard: Mapping[str, Any], command: str) -> Path:
    """Path of one file of a split; DataError where the manifest leads elsewhere or its size is not the file's."""
    path = folder / str(shard["file"])
    if path.parent != folder:  # a manifest from elsewhere must not lead out of its folder
        raise DataError(f"{path}: the manifest names a file outside its folder")
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")
    if (found := path.stat().st_size) != (wanted := shard.get("bytes")):
        raise DataError(f"{path}: {found} bytes, the manifest says {wanted} (cut short?); run: {command}")
    return path


def _no_split(name: str, recipe: Recipe, splits: Mapping[str, Any], split: str) -> DataError:
    """What to say of a split that the pack lacks: the command that makes it."""
    command = prepare_command(name, recipe, [s for s in recipe.splits if s in splits or s == split])
    where = " (where the source has it)" if split in recipe.options.get("optional_splits", ()) else ""
    found = ", ".join(splits)
    return DataError(f"data set {name!r} was prepared without split {split!r} (it has {found}); run{where}: {command}")


def verify(root: Path, name: str) -> list[str]:
    """Check every file of a pack against the manifest's checksums; the problems found, one line each."""
    return _problems(locate(root, name), open_manifest(root, name))


def _problems(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    problems = []
    for shard in (shard for split in manifest["splits"].values() for shard in split["shards"]):
        path = folder / str(shard["file"])
        if path.parent != folder:
            problems.append(f"{path}: the manifest names a file outside its folder")
        elif not path.is_file():
            problems.append(f"{path}: no such file")
        elif checksum(path) != shard.get("sha256"):
            problems.append(f"{path}: the checksum differs from the manifest's")
        elif ENTRY in shard:
            try:
                read_table(path, shard["bytes"], shard[ENTRY])
            except DataError as error:
                problems.append(str(error))
    return problems


def tidy(out_dir: Path, name: str) -> None:
    """Undo or finish an exchange that a killed run left half done."""
    if (left := locate(out_dir, name)) != out_dir / name:
        left.rename(out_dir / name)
    shutil.rmtree(out_dir / f".{name}.previous", ignore_errors=True)


class InPlace(NamedTuple):
    """The pack that lies where one is to be made.

    Attributes:
        folder: where it lies.
        manifest: of it.
        other: what it was made with, where that is not the same recipe.
    """

    folder: Path
    manifest: dict[str, Any]
    other: str


def in_place(out_dir: Path, recipe: Recipe) -> InPlace | None:
    """The pack in the place of the one that ``recipe`` makes; None where there is none, or a broken one."""
    try:
        manifest = open_manifest(out_dir, recipe.name)
    except DataError:
        return None
    other = ""
    if manifest.get("recipe_hash") not in (None, recipe.hash):
        title = other_recipe(manifest, recipe)
        other = f"another recipe of that name ({title})" if title else "another version of it"
    return InPlace(locate(out_dir, recipe.name), manifest, other)


def is_reusable(there: InPlace | None, key: str) -> bool:
    """Whether a pack in place is the one that would be made, and whole."""
    return there is not None and there.manifest.get("key") == key and not _problems(there.folder, there.manifest)
