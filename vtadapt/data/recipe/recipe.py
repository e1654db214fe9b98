"""Recipes: what a data set is, in one YAML file per data set, checked before anything is read.

A recipe names the tasks with their kind, units, classes and colours, the reader that knows the files, where the files
come from and under which licence, and which labels are derived from others. Recipes are packaged as
``vtadapt/data_recipes/NAME.yaml`` (``data_recipes/`` in a source checkout); a path to your own YAML works everywhere a
name does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.data.recipe.files import Source
from vtadapt.data.recipe.fit import Fit
from vtadapt.data.recipe.label_sets import LabelSet, choose
from vtadapt.data.recipe.strict import Pixels, Strict, explain
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.strict_yaml import StrictYamlError, read_yaml
from vtadapt.tasks.class_ids import RESERVED, VOID
from vtadapt.tasks.names import LONGEST, check_name, check_names


class Recipe(Strict):
    """A data set: see the module's page; ``options`` are handed to the reader, which checks them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST)
    title: str = Field(max_length=1000)
    licence: str = Field(max_length=2000)
    citation: str = Field("", max_length=5000)
    reader: str
    source: Source = Field(default_factory=lambda: Source.model_validate({}))
    splits: tuple[str, ...] = Field(("train", "val"), min_length=1, max_length=100)
    size: tuple[Pixels, Pixels] | None = Field(
        None, description="[height, width] that prepare-data resizes to unless told otherwise; null = native"
    )
    fit: Fit = Field(
        "squeeze",
        description="what becomes of pictures of another aspect ratio than 'size': squeeze, crop (the middle is kept) "
        "or pad (with void)",
    )
    tasks: dict[str, RecipeTask] = Field(min_length=1, max_length=200)
    label_sets: dict[str, LabelSet] = Field(
        default_factory=dict,
        description="lists of classes that the label files can be read as, by name; a task of kind 'classes' whose "
        "label_set is one of them need not repeat classes and colours, and --label-set chooses another",
    )
    class_maps: dict[str, dict[str, str | None]] = Field(
        default_factory=dict,
        description="other label set -> {our class: its class, or null for void}; where two of our label sets use a "
        "name for different things, the key OURS>OTHER is for one of them alone",
    )
    intrinsics: Intrinsics | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _classes_of_label_sets(cls, given: Any) -> Any:
        sets, tasks = (given.get(k) for k in ("label_sets", "tasks")) if isinstance(given, dict) else (None, None)
        if not isinstance(sets, dict) or not isinstance(tasks, dict):
            return given
        filled = {}
        for name, task in tasks.items():
            named = task.get("label_set") if isinstance(task, dict) and not task.get("classes") else None
            chosen = sets.get(named) if isinstance(named, str) else None  # else the task's own check says what is wrong
            known = LabelSet.model_validate(chosen) if chosen is not None else None
            filled[name] = task if known is None else {**task, "classes": known.classes, "colours": known.colours}
        return {**given, "tasks": filled}

    @field_validator("splits")
    @classmethod
    def _plain_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for split in value:
            if not split.replace("_", "").replace("-", "").isalnum() or len(split) > LONGEST:
                raise ValueError(f"split {split!r}: only letters, digits, '_' and '-', at most {LONGEST}")
        check_names(value, "splits")
        return value

    @field_validator("tasks")
    @classmethod
    def _names_of_tasks(cls, value: dict[str, RecipeTask]) -> dict[str, RecipeTask]:
        for name in value:
            try:
                check_name(name)
            except ValueError as error:
                raise ValueError(f"task {name[:LONGEST]!r} {error}") from error
        check_names(value)
        return value

    @model_validator(mode="after")
    def _references(self) -> Self:
        for name, task in self.tasks.items():
            try:
                task.task(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
            if task.derive is None:
                continue
            if task.derive.source not in self.tasks:
                raise ValueError(f"task {name!r} is derived from {task.derive.source!r}, which is no task here")
            if task.derive.method != "class_boundaries" and self.intrinsics is None:
                raise ValueError(f"task {name!r}: {task.derive.method!r} can only be derived with 'intrinsics'")
        for key, known in self.label_sets.items():
            if known.task not in self.tasks:
                raise ValueError(f"label_sets.{key}: task {known.task!r} is no task here")
        own = {c for task in self.tasks.values() for c in task.classes}
        own |= {c for known in self.label_sets.values() for c in known.classes}
        for other, mapping in self.class_maps.items():
            if unknown := [c for c in mapping if c not in own]:
                hint = near_matches(unknown[0], own)
                raise ValueError(f"class_maps.{other}: {unknown[0]!r} is not a class here.{hint}")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of the recipe as canonical JSON: equal hashes mean equal recipes."""
        content = self.model_dump(mode="json")
        for task in content["tasks"].values():
            if task["weight"] is None:  # newer than many packs, which stay what they were
                del task["weight"]
        del content["source"]["folder"]  # files that moved are the same files
        if content["fit"] == "squeeze":
            del content["fit"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_options(self, options: Mapping[str, Any]) -> Recipe:
        """A copy with some of the reader's options replaced (``options`` wins)."""
        return self.model_copy(update={"options": {**self.options, **options}})

    def with_label_set(self, asked: str) -> Recipe:
        """A copy that reads its label files as another of its label sets, named whole or by its number (``13``).

        Raises:
            UsageError: it has no such label set.
        """
        key = choose(asked, self.label_sets, self.name)
        chosen = self.label_sets[key]
        task = self.tasks[chosen.task].model_copy(
            update={"label_set": key, "classes": chosen.classes, "colours": chosen.colours}
        )
        return self.model_copy(update={"tasks": {**self.tasks, chosen.task: task}})

    def label_set(self, task: str) -> LabelSet | None:
        """How the numbers of a task's label files become its classes, where the recipe says it."""
        return self.label_sets.get(self.tasks[task].label_set)

    def need_split(self, split: str) -> None:
        """Raise a UsageError with near matches where the data set has no such split."""
        if split not in self.splits:
            hint = f"{near_matches(split, self.splits)} Known: {', '.join(self.splits)}"
            raise UsageError(f"data set {self.name!r} has no split {split!r}.{hint}")

    def class_map(self, task: str, other: RecipeTask) -> list[int] | None:
        """For each of our classes its id among those of another set's ``other``; None without a map to its list."""
        own = self.tasks[task]
        has = {other.label_set, f"{own.label_set}>{other.label_set}"} & self.class_maps.keys()
        if not has and own.classes != other.classes and not (own.label_set and own.label_set == other.label_set):
            return None
        return self.class_ids(task, other.label_set, other.classes)

    def class_ids(self, task: str, label_set: str, classes: tuple[str, ...]) -> list[int]:
        """For each of our classes its id among ``classes`` of ``label_set``, 255 where there is none.

        ``classes`` may be some of the label set only; where it is our own, the rest then has none.

        Raises:
            ConfigError: the recipe has no map to that label set, or a class that is named is not there.
        """
        own = self.tasks[task]
        if own.label_set == label_set and label_set or own.classes == classes:
            if strange := [c for c in classes if c not in own.classes and c != RESERVED]:
                raise ConfigError(f"recipe {self.name!r}: label set {label_set!r} has no class {strange[0]!r}")
            mapping: Mapping[str, str | None] = {c: c for c in own.classes if c in classes}
        elif found := self.class_maps.get(f"{own.label_set}>{label_set}") or self.class_maps.get(label_set):
            mapping = found
        else:
            known = ", ".join(self.class_maps) or "none"
            raise ConfigError(f"recipe {self.name!r} has no class map to label set {label_set!r} (it has: {known})")
        wanted = [mapping.get(c) for c in own.classes]
        if lost := [c for c in wanted if c is not None and c not in classes]:
            raise ConfigError(f"recipe {self.name!r}, class map to {label_set!r}: {lost[0]!r} is no class of it")
        return [VOID if c is None else classes.index(c) for c in wanted]


def recipe_folders() -> list[Path]:
    """Folders that hold the shipped recipes: of the installed package, else of the source checkout."""
    package = Path(__file__).resolve().parents[2]
    return [p for p in (package / "data_recipes", package.parent / "data_recipes") if p.is_dir()]


def list_recipes() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return sorted({p.stem for folder in recipe_folders() for p in folder.glob("*.yaml")})


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a shipped recipe by name, or your own from a ``.yaml`` file.

    Raises:
        UsageError: no such data set (with near matches) or file.
        ConfigError: the file is not YAML or does not fit the schema, and the message names file and key; or it is
            another recipe than the shipped one of its name.
    """
    text = str(name_or_path)
    if text.lower().endswith((".yaml", ".yml")) or "/" in text:
        path = Path(text).expanduser()
        if not path.is_file():
            raise UsageError(f"recipe file {str(path)!r} does not exist")
        recipe = read_recipe(path)
        _need_own_name(recipe, path)
        return recipe
    for folder in recipe_folders():
        if (folder / f"{text}.yaml").is_file():
            return read_recipe(folder / f"{text}.yaml")
    if Path(text).is_file():
        raise UsageError(f"{text}: recipes are files that end in .yaml or .yml; rename it, or write ./{text}")
    known = list_recipes()
    raise UsageError(f"unknown data set {text!r}.{near_matches(text, known)} Known: {', '.join(known)}")


def _need_own_name(recipe: Recipe, path: Path) -> None:
    """Raise a ConfigError where a recipe bears a shipped one's name: their packs would take each other's place."""
    taken = next((name for name in list_recipes() if name.casefold() == recipe.name.casefold()), None)
    if taken is None or path.resolve().parent in recipe_folders() or load_recipe(taken).hash == recipe.hash:
        return
    raise ConfigError(
        f"recipe {path}: its name {recipe.name!r} is that of a data set that comes with vtadapt; name yours otherwise, "
        f"such as my_{recipe.name}"
    )


def read_recipe(path: Path) -> Recipe:
    """Parse and check one recipe file; see ``load_recipe`` for the errors."""
    try:
        content = read_yaml(path)
    except (StrictYamlError, OSError) as error:
        raise ConfigError(f"recipe {path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"recipe {path}: wanted keys and values at the top, found {type(content).__name__}")
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"recipe {path}: {explain(error, Recipe)}") from error
    if not recipe.source.folder:
        return recipe
    place = path.parent / Path(recipe.source.folder).expanduser()
    return recipe.model_copy(update={"source": recipe.source.model_copy(update={"folder": str(place)})})
