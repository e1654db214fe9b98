"""Where the tests of broken input work: a good source beside the pack that was made of it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workflows.prepare.broken.sources import GOOD
from vtadapt.checked import parse_json
from vtadapt.data.pack.manifest import open_manifest, open_pack, verify
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.settings import parse_list, parse_size

LEFT = {"building", "state", "source", "lock"}  # what a failed run may leave, as .NAME.what


@dataclass(frozen=True)
class Place:
    """A folder with a good source, and the pack that was made of it."""

    folder: Path
    recipe: str
    name: str
    arguments: tuple[str, ...]

    @property
    def source(self) -> Path:
        return self.folder / "the süurce"

    @property
    def data(self) -> Path:
        return self.folder / "my data"

    @property
    def options(self) -> PrepareOptions:
        """What the arguments mean."""
        given = dict(zip(self.arguments[::2], self.arguments[1::2], strict=True))
        size, limit = given["--size"], given.get("--limit")
        return PrepareOptions(
            size=size if size == "native" else parse_size(size),
            tasks=parse_list(given.get("--tasks")),
            limit=None if limit is None else int(limit),
        )

    def asked(self, sources: Sequence[Path] | None = None, data: Path | None = None) -> list[Any]:
        """The command, for one core."""
        given = [a for path in sources or [self.source] for a in ("--source", path)]
        where = ["--data-dir", data or self.data, "--workers", 0, "--quiet"]
        return ["prepare-data", self.recipe, *given, *self.arguments, *where]

    def pack(self) -> dict[str, bytes]:
        """Every file of the pack, which is whole and can be read."""
        assert verify(self.data, self.name) == []
        for split in open_manifest(self.data, self.name)["splits"]:
            assert "image" in open_pack(self.data, self.name, split).read(0)
        found = {p.name: p.read_bytes() for p in sorted((self.data / self.name).iterdir())}
        manifest = parse_json(found["manifest.json"])  # its checksum is of the places, too
        places = {key: manifest.pop(key, None) for key in ("source", "source_from_here")}  # of this copy
        assert None not in places.values()
        return found | {"manifest.json": json.dumps(manifest).encode()}


def place_in(folder: Path, data: str) -> Place:
    """The place in a folder where the good source ``data`` is, or will be."""
    good = GOOD[data]
    own = str(folder / "the süurce" / good.recipe) if good.recipe.endswith(".yaml") else None
    recipe = own or good.recipe or data
    return Place(folder, recipe, "mine" if own else recipe, good.arguments)


def prepare_good(place: Place, data: str) -> Path:
    """Write the source and make the pack; returns the place's folder."""
    place.source.mkdir()
    GOOD[data].write(place.source)
    prepare_data(place.recipe, place.source, place.data, place.options, quiet=True)
    return place.folder


def refused(ran: Any, names: object, says: str, code: int = 3) -> None:
    """One line on stderr, which names the offender and says what is wrong."""
    assert ran.code == code, ran.err
    assert len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("vtadapt: error: ")
    assert str(names) in ran.err, ran.err
    assert re.search(says, ran.err), ran.err
    assert "Traceback" not in ran.err


def tidy(place: Place) -> None:
    """Nothing is left in the folder of packs but what is documented, and no temporary file in it."""
    known = {place.name, *(f".{place.name}.{what}" for what in LEFT)}
    assert {p.name for p in place.data.iterdir()} <= known
    assert not list(place.data.rglob(".*.partial*"))
    assert not list(place.data.rglob("unpacking"))


def run_alone(asked: Sequence[Any], most: int | None = None) -> Any:
    """The command in a process of its own, which may write files of ``most`` bytes at most."""

    def limit() -> None:
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    command = [sys.executable, "-W", "error", "-m", "vtadapt", *map(str, asked)]
    done = subprocess.run(  # noqa: PLW1509
        command,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        preexec_fn=limit,
        check=False,
    )
    return type("Ran", (), {"code": done.returncode, "out": done.stdout, "err": done.stderr})
