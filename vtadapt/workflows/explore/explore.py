"""``vtadapt explore``: a page of this machine on which pictures are dropped, predicted and looked into."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtadapt.errors import ConfigError, UsageError, VtadaptError
from vtadapt.version import __version__
from vtadapt.workflows.terminal.text import say, show, warn

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PORT = 8642


@dataclass(frozen=True)
class ExploreOptions:
    """Where the page is, and how the run works.

    Attributes:
        host: name or address that the server listens on.
        port: of it; 0 for any that is free.
        size: that the network works at, see :class:`vtadapt.workflows.sizing.size.Sizing`.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    size: str = "auto"
    weights: str | None = None


def explore(run: Path, options: ExploreOptions, folder: Path = Path("runs")) -> None:
    """Serve the page of a run until somebody ends it by Ctrl-C; its address is printed once it can be opened.

    Args:
        run: a finished run.
        options: where, and how.
        folder: of the runs, see :func:`vtadapt.workflows.run.folder.output_folder`.

    Raises:
        UsageError: the extra is not installed, or a size or host that is none.
        ConfigError: the run does not load.
        VtadaptError: the port is taken.
    """
    need_web()
    from vtadapt.workflows.explore.guard import is_loopback
    from vtadapt.workflows.explore.server import make_server

    with listening(options.host, options.port) as door:
        app = make_page(run, options, folder)
        if not is_loopback(options.host):
            warn(f"whoever reaches {options.host} can use the page: it asks for no password, and nothing is encrypted")
        show(f"{run.name}: {address_of(door, options.host)} (Ctrl-C ends it)")
        try:
            make_server(app).run(sockets=[door])
        except KeyboardInterrupt as end:
            if getattr(end, "exit_code", 128 + signal.SIGINT) != 128 + signal.SIGINT:
                raise
        say("the page is closed; no file was written")


def need_web() -> None:
    """See that the extra is installed.

    Raises:
        UsageError: it is not.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError("the page needs starlette and uvicorn; install with: pip install 'vtadapt[web]'") from error


def make_page(run: Path, options: ExploreOptions, folder: Path) -> ASGIApp:
    """Load a run, and make what answers a browser; arguments and errors as of :func:`explore`."""
    from vtadapt.viz.explore.page import About, page_files
    from vtadapt.workflows.attention.options import AttentionOptions, check
    from vtadapt.workflows.attention.ready import make_ready
    from vtadapt.workflows.explore.advice import affinities_of
    from vtadapt.workflows.explore.server import MOST, make_app
    from vtadapt.workflows.explore.session import Session
    from vtadapt.workflows.predict.image import Predictor
    from vtadapt.workflows.run.folder import output_folder
    from vtadapt.workflows.run.load import load_run
    from vtadapt.workflows.sizing.size import Sizing

    sizing, looking = Sizing(options.size), AttentionOptions(query="auto", weights=options.weights)
    asked = check(looking)
    loaded = load_run(run, weights=options.weights)
    try:
        ready, why = make_ready(loaded, looking, asked), ""
    except ConfigError as error:
        if loaded.model.has_attention:
            raise
        ready, why = None, str(error)
    affinities, missing = affinities_of(loaded, output_folder(run, folder))
    settings, tasks = loaded.settings, list(loaded.tasks)
    words = f"{', '.join(tasks)}; {settings.method} on {settings.encoder}, trained on {settings.data}"
    about = About(run.name, words, tasks, why, affinities, missing, MOST, __version__)
    return make_app(Session(Predictor(loaded, sizing), ready), page_files(about), options.host)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that browsers can connect to.

    Raises:
        UsageError: no such host here, or no such port.
        VtadaptError: the port is taken, or not ours to take.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: wanted 1 to 65535, or 0 for any that is free")
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host!r}: no such name or address here; wanted 127.0.0.1 or one of its own"
        ) from error
    try:
        door = socket.create_server(place[:2], family=family)  # type: ignore[arg-type]
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise VtadaptError(f"cannot listen on {host} port {port} ({reason}); name another --port, or 0") from error
    with closing(door):
        yield door


def address_of(door: socket.socket, host: str) -> str:
    """What is typed into a browser."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0") else "::1" if host == "::" else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{door.getsockname()[1]}/"
