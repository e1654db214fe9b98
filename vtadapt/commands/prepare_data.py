"""``vtadapt prepare-data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.options import DATA, DataDir, FollowLinks, Json, Quiet
from vtadapt.errors import DataError, UsageError


def prepare_data(
    name: Annotated[str, typer.Argument(help="Data set: the name of a recipe, or your own .yaml.")],
    source: Annotated[
        list[Path] | None,
        typer.Option(help="Folder, .zip, .tar(.gz) or .mat as downloaded; repeatable. Synthetic sets need none."),
    ] = None,
    data_dir: DataDir = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH or native [default: the recipe's].")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    splits: Annotated[str | None, typer.Option(help="Only these splits, separated by commas.")] = None,
    label_set: Annotated[str | None, typer.Option(help="List of classes, such as nyu13 or 13.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples per split.")] = None,
    shard_size: Annotated[int | None, typer.Option(min=1, help="Samples per file of a split [default: 2000].")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load and derive.")] = 2,
    buildings: Annotated[str | None, typer.Option(help="Only these buildings (taskonomy), by commas.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the recipe's reader, KEY=VALUE; repeatable.")
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option(help="Leave samples with broken or missing files out and list them.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what the recipe has a URL and sha256 of.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what was found and what is missing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Read the pack again, test it, draw a contact sheet.")] = False,
    force: Annotated[bool, typer.Option(help="Prepare again even if the pack is there.")] = False,
    follow_links: FollowLinks = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a data set to a pack: DATA_DIR/NAME/{train,val,test}.h5 and manifest.json."""
    from vtadapt.data.prepare.options import PrepareOptions
    from vtadapt.workflows.run.settings import parse_assignments, parse_list, parse_size

    reader: dict[str, Any] = parse_assignments(option or [], "--option")
    if buildings is not None:
        reader["buildings"] = parse_list(buildings)
    wanted = size if size in (None, "native") else parse_size(size)
    only = (parse_list(splits), wanted, parse_list(tasks), label_set, limit)
    chosen = PrepareOptions(*only, workers, skip_broken, force, shard_size, reader, follow_links)
    given, folder = tuple(source or ()), data_dir or DATA
    if check and (given or dry_run or download):
        raise UsageError("--check reads a pack that is prepared; leave --source, --download and --dry-run out")
    if dry_run and download:
        raise UsageError("--dry-run converts nothing and downloads nothing; leave --download out")
    if check:
        _check(name, folder, json_, quiet)
    elif dry_run:
        _dry_run(name, given, chosen, json_, quiet)
    else:
        _prepare(name, given, folder, chosen, download, json_, quiet)


def _prepare(
    name: str, given: tuple[Path, ...], folder: Path, chosen: Any, download: bool, json_: bool, quiet: bool
) -> None:
    from vtadapt.workflows.prepare.class_tables import class_notes, class_tables
    from vtadapt.workflows.prepare.prepare_data import prepare_data as work
    from vtadapt.workflows.prepare.tables import manifest_table, notes
    from vtadapt.workflows.terminal.tables import show_result

    manifest = work(name, given, folder, chosen, download=download, quiet=quiet or json_)
    pack = f"pack: {folder / manifest['name']}"
    tables = [manifest_table(manifest), *class_tables(manifest)]
    show_result(manifest, json_, lambda: [*tables, *notes(manifest), *class_notes(manifest), pack])


def _dry_run(name: str, given: tuple[Path, ...], chosen: Any, json_: bool, quiet: bool) -> None:
    from vtadapt.workflows.prepare.prepare_data import dry_run as work
    from vtadapt.workflows.prepare.tables import survey_tables
    from vtadapt.workflows.terminal.tables import show_result

    result = work(name, given, chosen, quiet=quiet or json_)
    show_result(result, json_, lambda: survey_tables(result))
    if result["problems"]:
        more = f" ({len(result['problems']) - 1} more problems above)" if len(result["problems"]) > 1 else ""
        raise DataError(f"{name} cannot be prepared from this: {result['problems'][0]}{more}")


def _check(name: str, folder: Path, json_: bool, quiet: bool) -> None:
    from vtadapt.workflows.prepare.check_data import check_data, failure_of
    from vtadapt.workflows.prepare.check_tables import show_check
    from vtadapt.workflows.run.data.packs import packs_of

    report = check_data(*packs_of(name, folder), quiet=quiet or json_)
    show_check(report, json_)
    if failure := failure_of(report):
        raise DataError(failure)
