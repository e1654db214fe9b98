"""The data sets of a run, each looked up once: its recipe, and whether its pack is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vtadapt.atomic import need_writable
from vtadapt.data.pack.manifest import has_pack, manifest_recipe, open_manifest, other_recipe
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.text import say


@dataclass(frozen=True)
class RunData:
    """The recipes of all data sets that a run reads.

    Attributes:
        trained: those whose labels are learned from, in order.
        target: the set that is known by its images alone.
        rehearsed: the set that the run's start was trained on, where it is rehearsed.
        space: the two sets of the label space.
        to_render: whether some of them are rendered, or prepared from the folder that a recipe names, before training.
        unlabelled: data set -> tasks whose training labels have no pixel that is labelled.
    """

    trained: tuple[Recipe, ...]
    target: Recipe | None = None
    rehearsed: Recipe | None = None
    space: tuple[Recipe, ...] = ()
    to_render: bool = False
    unlabelled: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Recipe]:
        """Those of which files are read, each once."""
        found = [*self.trained, *(one for one in (self.target, self.rehearsed) if one is not None)]
        return iter({recipe.name: recipe for recipe in found}.values())

    def named(self, settings: TrainSettings) -> TrainSettings:
        """The settings with the sets' names, where a recipe's file may have been typed."""
        others = {"target": self.target, "rehearse": self.rehearsed}
        names = {key: recipe.name for key, recipe in others.items() if recipe is not None}
        return settings.model_copy(update={"data": "+".join(recipe.name for recipe in self.trained), **names})


def find_data(settings: TrainSettings) -> RunData:
    """Look up all data sets that a run reads; those that must be prepared are.

    Raises:
        UsageError: no such data set.
        ConfigError: one is named twice.
        DataError: one is not prepared, and is none that is rendered.
    """
    space = settings.space_names
    names = dict.fromkeys([*settings.data_names, *filter(None, (settings.target, settings.rehearse)), *space])
    looked_up = {name: _look_up(name, settings.data_dir, needed=name not in space) for name in names}
    to_render = any(each.manifest is None for name, each in looked_up.items() if name not in space)
    found = {name: each.recipe for name, each in looked_up.items()}
    empty = {each.recipe.name: unlabelled(each.manifest) for each in looked_up.values() if each.manifest is not None}
    trained = _each_once(settings, [found[name] for name in settings.data_names])
    target, rehearsed = (None if name is None else found[name] for name in (settings.target, settings.rehearse))
    return RunData(trained, target, rehearsed, tuple(found[name] for name in space), to_render, empty)


def need_prepared(recipes: Iterable[Recipe], data_dir: Path) -> None:
    """Refuse data sets that are neither prepared nor can be rendered into ``data_dir``.

    Raises:
        DataError: with the command that prepares it; or the folder cannot be written to.
    """
    for recipe in recipes:
        if not recipe.source.synthetic and not recipe.source.folder:
            open_manifest(data_dir, recipe.name)
        elif not has_pack(data_dir, recipe.name):
            need_writable(data_dir)


def load_recipes(settings: TrainSettings) -> list[Recipe]:
    """Recipes of the data sets that a run is trained on.

    Raises:
        UsageError: no such data set.
        ConfigError: one is named twice.
    """
    return [*_each_once(settings, [find_recipe(name, settings.data_dir) for name in settings.data_names])]


def _each_once(settings: TrainSettings, recipes: list[Recipe]) -> tuple[Recipe, ...]:
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"data set {name!r} is named twice in {settings.data!r}; wanted each once")
    return tuple(recipes)


def find_recipe(name: str, data_dir: Path) -> Recipe:
    """The recipe of a data set: the one that its pack was made with, else the shipped one or your own ``.yaml``.

    A pack keeps its recipe, so your own data set is known by its name once it is prepared, and what is stored is read
    as it was stored. Only the tasks that were prepared are left in.

    Args:
        name: as typed.
        data_dir: folder of the packs.

    Raises:
        UsageError: no such data set (with near matches).
        DataError: its pack is broken.
    """
    return _look_up(name, data_dir).recipe


class _Found(NamedTuple):
    """A data set's recipe, and the manifest of its pack where there is one."""

    recipe: Recipe
    manifest: Mapping[str, Any] | None


def _look_up(name: str, data_dir: Path, *, needed: bool = False) -> _Found:
    """See :func:`find_recipe`; with ``needed`` a DataError for what is neither prepared nor rendered."""
    try:
        recipe = load_recipe(name)
    except UsageError:
        if "/" in name or not has_pack(data_dir, name):
            raise
        recipe = None
    known = name if recipe is None else recipe.name
    if recipe is not None and not has_pack(data_dir, known):
        if needed and not recipe.source.synthetic and not recipe.source.folder:
            open_manifest(data_dir, known)
        return _Found(recipe, None)
    manifest = open_manifest(data_dir, known)
    packed = manifest_recipe(manifest)
    if recipe is not None and recipe.hash != manifest.get("recipe_hash"):
        if name == known and (other := other_recipe(manifest, recipe)):  # a shipped name, and a user's pack
            say(
                f"note: {data_dir / known} was prepared with another recipe of that name ({other}), which is used; "
                f"{name} itself needs another --data-dir"
            )
            return _Found(_prepared_only(packed, manifest), manifest)
        source = "" if recipe.source.synthetic else " --source PATH"
        say(
            f"note: {data_dir / known} was prepared with another version of its recipe, which is used; "
            f"vtadapt prepare-data {name}{source} --force prepares it with this one"
        )
    return _Found(_prepared_only(packed, manifest), manifest)


def _prepared_only(packed: Recipe, manifest: Mapping[str, Any]) -> Recipe:
    """The recipe of a pack with those of its tasks that are in it."""
    stored = manifest.get("tasks", list(packed.tasks))
    return packed.model_copy(update={"tasks": {t: spec for t, spec in packed.tasks.items() if t in stored}})


def unlabelled(manifest: Mapping[str, Any]) -> list[str]:
    """The tasks of which the training split of a pack has labels without a single pixel that is labelled."""
    found = manifest["splits"].get("train", {}).get("tasks", {})
    return [task for task, about in found.items() if about["samples"] and about["min"] is None]
