"""Middleware of every route: headers, known hosts, own origin, JSON only, bodies of a bounded size."""

import json
import logging
from collections.abc import Iterator
from traceback import format_tb
from types import TracebackType
from typing import Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judges.human.web.reach import Reach

LARGEST_BODY = 1 << 18
"""Bytes of what a page posts: over ten comments of the longest kind, written in escapes."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Said with every response: answers are hostile text, and nothing of a page is for other sites or caches."""

BODY = "evalkit.body"
"""Where in a request's scope its whole body is, for endpoints that run in a thread and cannot await it."""

READING = ("GET", "HEAD")

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is not answered, and the one line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def refusal(method: str, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return one line that says why: JSON to a page's script, plain text to one who opens an address."""
    if method in READING:
        return PlainTextResponse(text + "\n", status, headers)
    body = json.dumps({"error": text}, ensure_ascii=True)
    return Response(body, status, headers, "application/json")


class Hardened:
    """Adds the headers to every response, and reports an unexpected error without its contents."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_hardened(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        with _Contained() as contained:
            await self._app(scope, receive, send_hardened)
        if contained.failed and not started:
            response = refusal(scope["method"], 500, "the server failed; its terminal says more")
            await response(scope, receive, send_hardened)


class _Contained:
    """Keeps an error's message, which may quote a token or an answer, out of the server's log.

    The web server would write it there with every message of its chain; here it is told by where it arose.
    """

    failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.failed = isinstance(error, Exception)
        if isinstance(error, Exception):
            _log.error("a request failed; this is a fault of evalkit\n%s", _frames(error))
        return self.failed


class KnownHosts:
    """Answers only those who ask for this server by a name of its own."""

    def __init__(self, app: ASGIApp, reach: Reach) -> None:
        self._app = app
        self._reach = reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or not self._reach.knows_host(hosts[0]):
                text = "unknown host; start evalkit annotate with --address, as people reach this page"
                await refusal(scope["method"], 400, text)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OwnOrigin:
    """Lets only this server's own pages change anything."""

    def __init__(self, app: ASGIApp, reach: Reach) -> None:
        self._app = app
        self._reach = reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] not in READING and not self._own(Headers(scope=scope)):
            text = "this was not sent by this server's own page"
            await refusal(scope["method"], 403, text)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _own(self, headers: Headers) -> bool:
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        host = headers.get("host", "")
        if any(not self._reach.knows_origin(origin, host) for origin in origins):
            return False
        if any(site != "same-origin" for site in sites):
            return False
        return bool(origins or sites)


class OnlyJson:
    """Takes JSON and nothing that a form on another site could send without being asked for leave first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            headers = Headers(scope=scope)
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json" or headers.get("content-encoding", "identity") != "identity":
                text = "Content-Type is application/json here, without a Content-Encoding"
                await refusal("POST", 415, text)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class WholeBodies:
    """Reads a post's body before its route does, and no more of it than is allowed, however it is sent."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        body = None if not said.isdecimal() or int(said[:12]) > self._largest else await self._read(receive)
        if body is None:
            text = f"a post holds at most {self._largest} bytes; shorten the comment"
            await refusal("POST", 413, text, {"Connection": "close"})(scope, receive, send)
            return
        await self._app({**scope, BODY: body}, receive, send)

    async def _read(self, receive: Receive) -> bytes | None:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._largest:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)


def _frames(error: BaseException) -> str:
    """Return where an error and its causes arose, without their messages, which may quote what was sent."""
    return "".join(
        f"{type(one).__name__} at\n{''.join(format_tb(one.__traceback__))}"
        for one in reversed(list(_chain(error)))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
