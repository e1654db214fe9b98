"""``vtadapt data-sets``."""

from __future__ import annotations

from typing import Annotated

import typer

from vtadapt.commands.options import Json


def data_sets(
    name: Annotated[str | None, typer.Argument(help="Show all that is known of one of them.")] = None,
    json_: Json = False,
) -> None:
    """List the data sets that recipes exist for, or describe one: where to get it, licence, tasks, classes."""
    from vtadapt.data.prepare.dry_run import describe
    from vtadapt.data.recipe.recipe import list_recipes, load_recipe
    from vtadapt.workflows.prepare.tables import description_tables
    from vtadapt.workflows.terminal.tables import show_result

    if name is not None:
        known = describe(load_recipe(name))
        show_result(known, json_, lambda: description_tables(known))
        return
    recipes = [load_recipe(one) for one in list_recipes()]
    width = max(len(recipe.name) for recipe in recipes)
    lines = [f"{recipe.name:<{width}}  {recipe.title} ({', '.join(recipe.tasks)})" for recipe in recipes]
    listed = [{"name": r.name, "title": r.title, "licence": r.licence, "tasks": list(r.tasks)} for r in recipes]
    show_result(listed, json_, lambda: lines)
