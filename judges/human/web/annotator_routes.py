"""An annotator's routes: signing in, the task in hand, and what its page posts."""

from collections.abc import Callable, Mapping

from fastapi import FastAPI
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from judges.human.answers import AnswerError
from judges.human.database.failures import AlreadyAnsweredError, NonceReusedError, NotGivenError
from judges.human.labels import PostedKind
from judges.human.store import Store
from judges.human.web.guards import BODY, READING, RefusedError
from judges.human.web.page import page_context, rest_context
from judges.human.web.posting import PostError, nonce_of, posted_of, read_post
from judges.human.web.reach import Reach
from judges.human.web.sign_in import COOKIE, SignedIn, proves, set_cookie, who

Act = Callable[[SignedIn, Mapping[str, object]], str]

KINDS: tuple[PostedKind, ...] = ("answer", "skip", "draft")


class AnnotatorRoutes:
    """Shows people their tasks, one at a time, and takes what they say of them."""

    def __init__(self, store: Store, templates: Environment, reach: Reach) -> None:
        self._store = store
        self._templates = templates
        self._reach = reach

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        reading = list(READING)
        app.add_api_route("/sign-in/{credential}", self.sign_in, methods=reading, response_model=None)
        app.add_api_route("/", self.task, methods=reading, response_model=None)
        for kind in KINDS:
            app.add_api_route(f"/{kind}", self._posting(self._record(kind)), methods=["POST"])
        app.add_api_route("/undo", self._posting(self._undo), methods=["POST"])

    def sign_in(self, credential: str) -> Response:
        """Turn the personal link into a cookie, so that the token is in no address that is kept or shown."""
        if who(self._store, credential) is None:
            raise RefusedError(
                401, "This link is not valid, or a newer one has been made. Ask for your link."
            )
        return set_cookie(RedirectResponse("/", 303), credential, self._reach)

    def task(self, request: Request) -> Response:
        """Show the task in hand, or say that there is none now, or none left."""
        signed_in = self._signed_in(request)
        if request.method == "HEAD":  # looking whether the page is there takes no task in hand
            return HTMLResponse()
        annotator, csrf = signed_in
        study, given = self._store.study(), self._store.next_task(annotator)
        progress = self._store.progress(annotator)
        if given is not None:
            return self._show("task.html", page_context(given, study, annotator, progress, csrf))
        template = "waiting.html" if self._store.waiting(annotator) else "done.html"
        return self._show(template, rest_context(study, annotator, progress, csrf))

    def _show(self, template: str, context: Mapping[str, object]) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(context))

    def _posting(self, act: Act) -> Callable[[Request], Response]:
        def posted(request: Request) -> Response:
            signed_in = self._signed_in(request)
            if not proves(request, signed_in):
                raise RefusedError(403, "this page is of another sign-in; reload it")
            try:
                return JSONResponse({"state": act(signed_in, read_post(request.scope[BODY]))})
            except (PostError, AnswerError) as error:
                raise RefusedError(422, str(error)) from None
            except NotGivenError:
                raise RefusedError(404, "this task is not in your hands; reload the page") from None
            except AlreadyAnsweredError:
                raise RefusedError(409, "this task is answered; undo that answer first") from None
            except NonceReusedError:
                raise RefusedError(
                    409, "another answer was sent under this number; reload the page"
                ) from None

        return posted

    def _record(self, kind: PostedKind) -> Act:
        def act(signed_in: SignedIn, post: Mapping[str, object]) -> str:
            handle, posted = posted_of(kind, post)
            return self._store.record(signed_in.annotator, handle, posted)

        return act

    def _undo(self, signed_in: SignedIn, post: Mapping[str, object]) -> str:
        return self._store.undo(signed_in.annotator, nonce_of(post))

    def _signed_in(self, request: Request) -> SignedIn:
        found = who(self._store, request.cookies.get(self._reach.cookie(COOKIE), ""))
        if found is None:
            raise RefusedError(401, "You are not signed in. Open your personal link.")
        return found
