"""Who may ask the page for anything, and how much they may send."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vtadapt.errors import UsageError, VtadaptError
from vtadapt.viz.explore.page import POLICY

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class TooMuchError(VtadaptError):
    """More bytes than are taken."""


def is_own(header: str, host: str) -> bool:
    """Whether a Host header names this server.

    A page elsewhere can let a name of its own point to this machine (DNS rebinding) and would then count as ours: its
    name, which it cannot hide, gives it away. An address is no name.

    Args:
        header: the header's value.
        host: what the server listens on.
    """
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host.lower()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def guarded(app: ASGIApp, host: str) -> ASGIApp:
    """``app`` for requests of its own page alone, all answers with :data:`HEADERS`.

    No header of CORS is ever sent, so that no other page can read an answer; this keeps others from asking, too.
    """

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *found]}
            await send(message)

        reason = _refusal(Request(scope), host)
        answer = app if reason is None else JSONResponse({"error": reason}, 403)
        await answer(scope, receive, with_headers)

    return asked


def _refusal(request: Request, host: str) -> str | None:
    """Why a request is not answered; None where it is."""
    named = request.headers.getlist("host")
    if len(named) != 1 or not is_own(named[0], host):
        return "this address is not the page's own; open the one that vtadapt explore has printed"
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    # A link from elsewhere may lead to the page; what asks for work must come from it.
    if request.method != "GET" and (origin not in (None, f"http://{named[0]}") or site != "same-origin"):
        return "another page asks; only vtadapt explore's own may"
    return None


async def body_of(request: Request, most: int) -> bytes:
    """What was sent, at most so many bytes.

    Raises:
        TooMuchError: it is more; the rest is not read.
        UsageError: it is nothing.
    """
    wanted = f"wanted at most {most / 1e6:g} MB"
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 15 or int(announced) > most):
        raise TooMuchError(f"too many bytes; {wanted}")
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > most:
            raise TooMuchError(f"too many bytes; {wanted}")
    if not found:
        raise UsageError("nothing was sent; wanted the content of a picture")
    return bytes(found)
