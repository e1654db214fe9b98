"""The classes that two data sets both label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError
from vtadapt.tasks.class_ids import RESERVED, VOID, with_reserved
from vtadapt.tasks.spec import Colour


@dataclass(frozen=True)
class SharedClasses:
    """The classes that two lists have in common, in the names of one of the two.

    Attributes:
        classes: their names; several classes of the other list may be one of them.
        colours: one for each, or none.
        label_set: name of the list that the names are of.
        first: for each class of the first list its id among ``classes``, 255 where there is none.
        second: the same for the second list.
        only_first: names of the first list's classes without one.
        only_second: names of the second list's.
    """

    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    label_set: str
    first: list[int]
    second: list[int]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def left_out(self) -> int:
        """How many classes of both lists have no counterpart."""
        return len(self.only_first) + len(self.only_second)


def shared_classes(first: Recipe, second: Recipe, task: str) -> SharedClasses:
    """The classes of ``task`` that both data sets have, by the class maps of their recipes.

    The names are those of the list into which the other one is mapped with the fewest classes left out of both, the
    second's where it makes no difference: 16 classes of streets fall on the 11 of CamVid (traffic light and traffic
    sign both on sign) but for one, while CamVid's 11 leave five of the 16 without a counterpart.

    Raises:
        ConfigError: neither recipe has a map to the other's label set, or no class is left.
    """
    one, two = first.tasks[task], second.tasks[task]
    found = []
    there, back = first.class_map(task, two), second.class_map(task, one)
    if there is not None:
        to, own = _compact(there, len(two.classes))
        found.append(_shared(two, to, own, one, two))
    if back is not None:
        to, own = _compact(back, len(one.classes))
        found.append(_shared(one, own, to, one, two))
    if not found:
        raise ConfigError(
            f"task {task!r}: no class map between label set {one.label_set!r} of {first.name!r} and "
            f"{two.label_set!r} of {second.name!r}; add one to class_maps of either recipe, or leave the task out"
        )
    best = min(found, key=lambda shared: shared.left_out)
    if not best.classes:
        raise ConfigError(
            f"task {task!r}: by their class maps {first.name!r} and {second.name!r} have no class in common; leave it "
            "out with --tasks"
        )
    return best


def _compact(ids: Sequence[int], classes: int) -> tuple[list[int], list[int]]:
    """``ids`` and those of the list they point into, numbered anew without the classes that none of them names."""
    kept = sorted(set(ids) - {VOID})
    place = {old: new + (new >= VOID) for new, old in enumerate(kept)}  # id 255 stays void in a long list, too
    return [place.get(i, VOID) for i in ids], [place.get(i, VOID) for i in range(classes)]


def _shared(named: RecipeTask, first: list[int], second: list[int], one: RecipeTask, two: RecipeTask) -> SharedClasses:
    """Put together both lists' ids; ``named`` is the one of the two whose names are kept."""
    own = first if named is one else second
    kept = [i for i, to in enumerate(own) if to != VOID]
    colours = [named.colours[i] for i in kept] if named.colours else []
    if len(colours) > VOID:
        colours.insert(VOID, (0, 0, 0))
    return SharedClasses(
        classes=with_reserved([named.classes[i] for i in kept]),
        colours=tuple(colours),
        label_set=named.label_set,
        first=first,
        second=second,
        only_first=_without(one, first),
        only_second=_without(two, second),
    )


def _without(task: RecipeTask, ids: Sequence[int]) -> tuple[str, ...]:
    return tuple(c for c, to in zip(task.classes, ids, strict=True) if to == VOID and c != RESERVED)
