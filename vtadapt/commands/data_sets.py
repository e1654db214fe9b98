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
    from vtadapt.workflows.tables import print_json, print_tables

    if name is not None:
        known = describe(load_recipe(name))
        print_json(known) if json_ else print_tables(description_tables(known))
        return
    recipes = [load_recipe(one) for one in list_recipes()]
    if json_:
        print_json([{"name": r.name, "title": r.title, "licence": r.licence, "tasks": list(r.tasks)} for r in recipes])
        return
    width = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        typer.echo(f"{recipe.name:<{width}}  {recipe.title} ({', '.join(recipe.tasks)})")
