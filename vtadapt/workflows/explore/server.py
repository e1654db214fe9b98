"""The page's server: a few paths, all answered from memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vtadapt import strict_json
from vtadapt.errors import DataError, UsageError, VtadaptError, printable
from vtadapt.viz.explore.page import File
from vtadapt.workflows.explore.guard import TooMuchError, body_of, guarded
from vtadapt.workflows.explore.rooms import fresh_room
from vtadapt.workflows.explore.session import Session
from vtadapt.workflows.terminal.failures import explained

MOST = 50_000_000  # bytes of a picture; how many pixels it may have says the door of all pictures
QUESTION = 1_000  # bytes of what is asked about a pixel
LONGEST = 120  # characters of a name
BUSY = 32  # connections; a browser opens six

Handler = Callable[[Request], Awaitable[Response]]


def make_app(session: Session, files: Mapping[str, File], host: str) -> ASGIApp:
    """The page and what it asks for.

    Args:
        session: answers.
        files: path -> what is sent for it.
        host: what the server listens on.
    """

    async def picture(request: Request) -> Response:
        name = printable(request.query_params.get("name", ""))[:LONGEST] or "the picture"
        data = await body_of(request, MOST)
        return JSONResponse(await anyio.to_thread.run_sync(session.open, data, name))

    async def room(request: Request) -> Response:
        del request
        return JSONResponse(await anyio.to_thread.run_sync(lambda: session.begin(fresh_room())))

    async def look(request: Request) -> Response:
        number, u, v = _question(await body_of(request, QUESTION))
        return JSONResponse(await anyio.to_thread.run_sync(session.ask, number, u, v))

    def sent(file: File) -> Handler:
        async def answer(request: Request) -> Response:
            del request
            return Response(file.content, media_type=file.kind)

        return answer

    asked = {"/picture": picture, "/room": room, "/look": look}
    routes = [Route(path, sent(file)) for path, file in files.items()]
    routes += [Route(path, _told(handler), methods=["POST"]) for path, handler in asked.items()]
    return guarded(Starlette(routes=routes), host)


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server that prints nothing and trusts no header of a proxy; ``run(sockets=[...])`` starts it."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=BUSY,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def _told(handler: Handler) -> Handler:
    """``handler``, whose expected errors become one line that the page shows."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            known = explained(error)
            if known is None:
                raise
            return JSONResponse({"error": " ".join(str(known).split())}, _status(known))

    return answer


def _status(error: VtadaptError) -> int:
    if isinstance(error, TooMuchError):
        return 413
    return 400 if isinstance(error, UsageError) else 422 if isinstance(error, DataError) else 503


def _question(body: bytes) -> tuple[str, float, float]:
    """Picture, u and v of a question.

    Raises:
        UsageError: it is none.
    """
    try:
        content: Any = strict_json.parse_json(body.decode())
        number, u, v = content["id"], float(content["u"]), float(content["v"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UsageError("a question that cannot be read; load the page anew") from error
    if not isinstance(number, str) or not (0 <= u <= 1 and 0 <= v <= 1):
        raise UsageError("a pixel outside of the picture; wanted u and v of 0 to 1")
    return number, u, v
