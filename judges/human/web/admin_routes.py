"""The admin view's routes: signing in by this server's own token, the figures, the disagreements."""

import hmac
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from fastapi import FastAPI
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from judges.human.web.guards import READING, RefusedError
from judges.human.web.reach import Reach

COOKIE = "evalkit_admin"
PATH = "/admin"

Context = Callable[[], Mapping[str, object]]

_PAGE = re.compile("[0-9]{1,6}", re.ASCII)


class NumbersProvider(Protocol):
    """What the admin view shows of a study; made anew as labels come in."""

    def overview(self) -> Mapping[str, object]:
        """Return what the templates `admin.html` and `numbers.html` are filled with."""
        ...

    def disagreements(self, page: int) -> Mapping[str, object]:
        """Return what `disagreements.html` is filled with; pages count from 1."""
        ...


class AdminRoutes:
    """Shows a study to whoever started the server, and to nobody else."""

    def __init__(self, numbers: NumbersProvider, token: str, templates: Environment, reach: Reach) -> None:
        self._numbers = numbers
        self._token = token
        self._templates = templates
        self._reach = reach
        self._cookie = reach.cookie(COOKIE)

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        for path, endpoint in (
            (f"{PATH}/sign-in/{{token}}", self.sign_in),
            (PATH, self.page),
            (f"{PATH}/numbers", self.numbers),
            (f"{PATH}/disagreements", self.disagreements),
        ):
            app.add_api_route(path, endpoint, methods=list(READING), response_model=None)

    def sign_in(self, token: str) -> Response:
        """Turn the link into a cookie, so that the token is in no address that is kept or shown."""
        self._check(token)
        response = RedirectResponse(PATH, 303)
        response.set_cookie(
            self._cookie, token, path=PATH, secure=self._reach.secure, httponly=True, samesite="lax"
        )
        return response

    def page(self, request: Request) -> Response:
        """Show the figures, on a page that asks for them again from time to time."""
        return self._show(request, "admin.html", self._numbers.overview)

    def numbers(self, request: Request) -> Response:
        """Show the figures alone."""
        return self._show(request, "numbers.html", self._numbers.overview)

    def disagreements(self, request: Request) -> Response:
        """Show tasks on which people do not agree."""
        asked = request.query_params.get("page", "1")
        page = max(1, int(asked)) if _PAGE.fullmatch(asked) else 1
        return self._show(request, "disagreements.html", lambda: self._numbers.disagreements(page))

    def _show(self, request: Request, template: str, context: Context) -> Response:
        self._check(request.cookies.get(self._cookie, ""))
        return HTMLResponse(self._templates.get_template(template).render(context()))

    def _check(self, token: str) -> None:
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token.encode()):
            raise RefusedError(401, "This link is not valid. Use the one that evalkit annotate printed last.")
