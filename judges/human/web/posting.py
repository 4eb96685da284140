"""What a page posts, read strictly: known fields, finite numbers, texts that every database can hold."""

import json
import re
from collections.abc import Mapping
from typing import cast

from judges.human.answers import LONGEST_NOTE
from judges.human.labels import Posted, PostedKind

DEEPEST = 8
"""Nesting of a post; an answer's is four."""
LARGEST_NUMBER = 2**53
LONGEST_TIME = 30 * 24 * 3600.0
"""Seconds in view that a page may claim for one task."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class PostError(ValueError):
    """What was posted cannot be read; the message says what was expected, and quotes nothing of it."""


def read_post(body: bytes) -> dict[str, object]:
    """Return the JSON object that a body holds.

    Raises:
        PostError: It is none; or it holds a name twice, a number that is none or too large, too deep a
            nesting, or a character that a database cannot store (NUL, half of a surrogate pair).
    """
    try:
        value: object = json.loads(body.decode("utf-8"), object_pairs_hook=_distinct)
    except PostError:
        raise
    except (ValueError, RecursionError):
        raise PostError("expected one JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise PostError("expected one JSON object")
    _check(value, 0)
    return value


def posted_of(kind: PostedKind, post: Mapping[str, object]) -> tuple[str, Posted]:
    """Return the task's handle and the act that a page posts.

    Raises:
        PostError: A field is missing, unknown or of another type.
    """
    _check_fields(post, {"handle", "nonce"}, {"answer", "comment", "seconds"})
    answer, comment, seconds = post.get("answer"), post.get("comment", ""), post.get("seconds", 0.0)
    if not (answer is None or isinstance(answer, dict)):
        raise PostError("answer: expected an object or null")
    if kind == "answer" and answer is None:
        raise PostError("answer: expected an object")
    if not isinstance(comment, str) or len(comment) > LONGEST_NOTE:
        raise PostError(f"comment: expected a text of at most {LONGEST_NOTE} characters")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_TIME:
        raise PostError(f"seconds: expected a number from 0 to {LONGEST_TIME:.0f}")
    told = None if kind == "skip" else cast("Mapping[str, object] | None", answer)
    return _name(post, "handle"), Posted(kind, _name(post, "nonce"), told, comment, float(seconds))


def nonce_of(post: Mapping[str, object]) -> str:
    """Return the name of the act that takes back the last answer.

    Raises:
        PostError: It is not there, or something else is.
    """
    _check_fields(post, {"nonce"}, set())
    return _name(post, "nonce")


def _check_fields(post: Mapping[str, object], needed: set[str], allowed: set[str]) -> None:
    if not needed <= set(post) <= needed | allowed:
        raise PostError(f"expected the fields {', '.join(sorted(needed | allowed))}")


def _name(post: Mapping[str, object], field: str) -> str:
    value = post[field]
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise PostError(f"{field}: expected 1 to 100 letters, digits, - or _")
    return value


def _check(value: object, depth: int) -> None:
    if depth > DEEPEST:
        raise PostError(f"expected at most {DEEPEST} levels of nesting")
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise PostError("a text holds NUL or half of a surrogate pair, which cannot be stored")
    if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:  # a NaN is not, either
        raise PostError("a number is too large, or none at all")
    if isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth)
            _check(item, depth + 1)
    if isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise PostError("a field is given twice")
    return found
