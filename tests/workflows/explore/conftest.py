"""The page of a run, served in a thread, and what a browser would send."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from vtadapt.workflows.explore.explore import ExploreOptions, listening, make_page
from vtadapt.workflows.explore.server import make_server


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """A page that is being served."""

    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask(path, method="GET", **headers)

    def look(self, number: str, u: Any, v: Any) -> Answer:
        return self.ask("/look", json.dumps({"id": number, "u": u, "v": v}))


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[[Path], Page]]:
    """Pages by their runs, each loaded once."""
    made: dict[Path, Page] = {}
    with ExitStack() as stack:

        def serve(run: Path) -> Page:
            if run not in made:
                door = stack.enter_context(listening("127.0.0.1", 0))
                server = make_server(make_page(run, ExploreOptions(port=0), run.parent))
                thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
                made[run] = Page(door.getsockname()[1])
                thread.start()
                stack.callback(thread.join)
                stack.callback(setattr, server, "should_exit", True)
            return made[run]

        yield serve


@pytest.fixture
def page(served: Callable[[Path], Page], tiny: Any) -> Page:
    return served(tiny.run)


def photograph(height: int, width: int, seed: int = 0, kind: str = "PNG") -> bytes:
    """The bytes of a picture with something to see in it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()
