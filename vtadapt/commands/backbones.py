"""``vtadapt backbones``."""

from __future__ import annotations

from typing import Annotated

import typer

from vtadapt.commands.options import Json
from vtadapt.errors import UsageError


def backbones(
    name: Annotated[str | None, typer.Argument(help="Show all that is known of one of them.")] = None,
    store: Annotated[bool, typer.Option("--store", help="List the files of weights that were used.")] = False,
    forget: Annotated[
        str | None, typer.Option(help="Strike files from that list: all, gone, a backbone or a digest; they stay.")
    ] = None,
    json_: Json = False,
) -> None:
    """List encoders worth taking: parameters, patch, licence, published figures, what to type; or describe one."""
    from vtadapt.models.backbones.catalogue import CATALOGUE, known
    from vtadapt.models.backbones.weights.store import entries
    from vtadapt.models.backbones.weights.store import forget as strike
    from vtadapt.workflows.backbones import catalogue_pages, description, entry_dict, store_pages
    from vtadapt.workflows.terminal.tables import show_result

    if name is not None and (store or forget):
        raise UsageError(f"{name!r} beside --store or --forget: a name is described from the catalogue; leave one out")
    if store or forget:
        found = entries() if forget is None else strike(forget)
        show_result([entry_dict(each) for each in found], json_, lambda: store_pages(found, forget is not None))
    elif name is not None:
        one = known(name)
        show_result(one.to_dict(), json_, lambda: description(one))
    else:
        show_result([each.to_dict() for each in CATALOGUE], json_, lambda: catalogue_pages(CATALOGUE))
