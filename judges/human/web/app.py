"""The page's web application: guards, then an annotator's routes, the admin view and the static files."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from judges.human.database.failures import StoreUnavailableError
from judges.human.store import Store
from judges.human.web.admin_routes import AdminRoutes, NumbersProvider
from judges.human.web.annotator_routes import AnnotatorRoutes
from judges.human.web.guards import (
    READING,
    Hardened,
    KnownHosts,
    OnlyJson,
    OwnOrigin,
    RefusedError,
    WholeBodies,
    refusal,
)
from judges.human.web.page import STATIC, environment
from judges.human.web.reach import Reach

THREADS = 16
"""Requests worked on at once; more would only wait for one another, in the database and for the processor."""
RETRY_AFTER = 3
"""Seconds after which a page asks again where the store could not be reached."""
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""What is served of the static folder."""

UNAVAILABLE = "the answers' store cannot be reached now; nothing is lost, and this page tries again"
TITLES = {401: "Sign in", 404: "Nothing is here", 405: "Not like this", 503: "One moment"}
TEXTS = {404: "There is no such page.", 405: "This address is not asked in this way."}

LOCAL = Reach()

_log = logging.getLogger(__name__)


def make_app(store: Store, admin_token: str, numbers: NumbersProvider, reach: Reach = LOCAL) -> FastAPI:
    """Return the application that serves one store.

    Args:
        store: Where tasks and labels are.
        admin_token: Random, and known only to whoever started the server.
        numbers: What the admin view shows.
        reach: The names under which people reach the page.
    """
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_bounded_threads,
        # Traces hold addresses and the messages of errors, and those hold tokens and answers.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    templates = environment()
    # The last one added is the first that a request meets.
    app.add_middleware(WholeBodies)
    app.add_middleware(OnlyJson)
    app.add_middleware(OwnOrigin, reach=reach)
    app.add_middleware(KnownHosts, reach=reach)
    app.add_middleware(Hardened)
    AnnotatorRoutes(store, templates, reach).add_to(app)
    AdminRoutes(numbers, admin_token, templates, reach).add_to(app)
    StaticFiles().add_to(app)
    _add_refusals(app, templates)
    return app


class StaticFiles:
    """The package's own scripts and styles, read once: no request's path ever meets the file system."""

    def __init__(self) -> None:
        self._table = {
            file.name: (file.read_bytes(), kind)
            for file in STATIC.iterdir()
            if (kind := KINDS.get(file.suffix)) is not None
        }

    def add_to(self, app: FastAPI) -> None:
        """Add the route."""
        app.add_api_route("/static/{name}", self.file, methods=list(READING), response_model=None)

    def file(self, name: str) -> Response:
        """Return one of the files."""
        if name not in self._table:
            raise HTTPException(404)
        content, kind = self._table[name]
        return Response(content, media_type=kind)


def _add_refusals(app: FastAPI, templates: Environment) -> None:
    """Say in one line why a request is not answered: to a script as JSON, to a person as a page."""

    def refuse(request: Request, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        if request.method not in READING:
            return refusal(request.method, status, text, headers)
        page = templates.get_template("message.html").render(
            title=TITLES.get(status, "Not answered"), text=text
        )
        return HTMLResponse(page, status, headers)

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return refuse(request, error.status, error.text)

    def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refuse(
            request, error.status_code, TEXTS.get(error.status_code, error.detail), dict(error.headers or {})
        )

    def unavailable(request: Request, error: Exception) -> Response:
        _log.error("%s", error)
        return refuse(request, 503, UNAVAILABLE, {"Retry-After": str(RETRY_AFTER)})

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(StoreUnavailableError, unavailable)


@asynccontextmanager
async def _bounded_threads(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
