"""Who a request comes from: the personal link and its cookie, and the proof that a post is meant."""

import hashlib
import hmac
import re
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response

from judges.human.labels import Annotator
from judges.human.web.reach import Reach

COOKIE = "evalkit_annotator"
CSRF_HEADER = "X-CSRF-Token"
KEPT = 180 * 24 * 3600
"""Seconds for which a browser keeps somebody signed in; a renewed link ends that at once."""

_CREDENTIAL = re.compile(r"(?P<annotator>[0-9]{1,9})\.(?P<token>[A-Za-z0-9_-]{1,200})", re.ASCII)


class SigningIn(Protocol):
    """The part of a store that knows annotators."""

    def sign_in(self, annotator_id: int, token: str) -> Annotator | None:
        """Return whose token it is, compared in constant time; None where it is nobody's."""
        ...


class SignedIn(NamedTuple):
    """An annotator, and what the page's posts prove that they are meant by."""

    annotator: Annotator
    csrf: str


def who(store: SigningIn, credential: str) -> SignedIn | None:
    """Return who a link or a cookie belongs to, None for one that is forged, altered or renewed.

    Args:
        store: Where the annotators are.
        credential: `ID.TOKEN`.
    """
    found = _CREDENTIAL.fullmatch(credential)
    if found is None:
        return None
    annotator = store.sign_in(int(found["annotator"]), found["token"])
    return None if annotator is None else SignedIn(annotator, csrf_token(found["token"]))


def csrf_token(token: str) -> str:
    """Return what only a page of this annotator can hold: another site can send the cookie, not read it."""
    return hmac.new(token.encode(), b"evalkit: posts of a page", hashlib.sha256).hexdigest()


def proves(request: Request, signed_in: SignedIn) -> bool:
    """Say whether a post carries what only the annotator's own page knows."""
    sent = request.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(sent.encode("latin-1"), signed_in.csrf.encode())


def set_cookie(response: Response, credential: str, reach: Reach) -> Response:
    """Let a browser sign in by itself from now on, and no script read by what."""
    response.set_cookie(
        reach.cookie(COOKIE),
        credential,
        max_age=KEPT,
        path="/",
        secure=reach.secure,
        httponly=True,
        samesite="lax",
    )
    return response
