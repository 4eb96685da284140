"""What annotators post, kept as events: answers, skips and drafts, and what they take back."""

import hashlib
import json
import math
import re
from typing import Any, Literal

from sqlalchemy import BindParameter, Connection, Row, bindparam, delete, insert, select, update

from judges.human.answers import LONGEST_NOTE, Answer, AnswerError, answer_of, as_given, as_payload, said
from judges.human.answers import check_answer as check_against
from judges.human.database.failures import AlreadyAnsweredError, NonceReusedError, NotGivenError
from judges.human.database.giving import has_room, hold_on, next_turn
from judges.human.database.schema import ASSIGNMENTS, EVENTS, STANDING, TASKS
from judges.human.database.tasks import read_task, recount
from judges.human.labels import Annotator, Posted
from judges.human.study import Study

Recorded = Literal["recorded", "repeated"]
Undone = Literal["recorded", "repeated", "nothing"]

_KINDS = ("answer", "skip", "draft")

# Made once, as making them takes longer than SQLite takes to run them.
_ME: BindParameter[int] = bindparam("me")
_GIVEN = (
    select(ASSIGNMENTS, TASKS.c.body)
    .join(TASKS, TASKS.c.id == ASSIGNMENTS.c.task)
    .where(ASSIGNMENTS.c.handle == bindparam("handle"), ASSIGNMENTS.c.annotator == _ME)
)
_KNOWN = select(EVENTS.c.digest).where(EVENTS.c.annotator == _ME, EVENTS.c.nonce == bindparam("nonce"))
_ADD = insert(EVENTS).returning(EVENTS.c.number)
_LET_STAND = insert(STANDING)
_IS_MINE = (ASSIGNMENTS.c.annotator == _ME) & (ASSIGNMENTS.c.task == bindparam("asked"))
_LET_GO = update(ASSIGNMENTS).where(_IS_MINE).values(expires=None)
_TAKE_BACK = (
    update(ASSIGNMENTS)
    .where(_IS_MINE)
    .values(expires=bindparam("until"), given=bindparam("now"), turn=bindparam("next"))
)
_LATEST = (
    select(STANDING.c.event, STANDING.c.task)
    .join(EVENTS, EVENTS.c.number == STANDING.c.event)
    # What was imported was not said on this page, and is not taken back on it.
    .where(STANDING.c.annotator == _ME, EVENTS.c.imported == 0)
    .order_by(STANDING.c.event.desc())
    .limit(1)
)


def record(
    connection: Connection, study: Study, annotator: Annotator, handle: str, posted: Posted, now: float
) -> Recorded:
    """Keep what an annotator posted about a task in hand."""
    _check_posted(posted)
    given = _given(connection, annotator, handle)
    digest = _digest(posted.kind, handle, posted.answer, posted.comment)
    if _repeated(connection, annotator, posted.nonce, digest):
        return "repeated"
    if given.expires is None:
        raise AlreadyAnsweredError("this task is answered or skipped already; undo that first")
    answer = _answer(given, posted)
    told = posted.answer if answer is None else as_payload(answer)
    number = add_event(
        connection,
        time=now,
        annotator=annotator.id,
        task=given.task,
        kind=posted.kind,
        nonce=posted.nonce,
        digest=digest,
        body=event_body(told, tuple(json.loads(given.shown)), posted.comment, posted.seconds),
    )
    if posted.kind == "draft":
        _renew(connection, study, annotator, given, now)
        return "recorded"
    let_stand(connection, number, annotator.id, given.task, answer)
    recount(connection, study, [given.task])
    return "recorded"


def undo(connection: Connection, study: Study, annotator: Annotator, nonce: str, now: float) -> Undone:
    """Withdraw the latest answer or skip of an annotator's that stands, and put its task in hand again."""
    _check_nonce(nonce)
    digest = _digest("undo")
    if _repeated(connection, annotator, nonce, digest):
        return "repeated"
    latest = connection.execute(_LATEST, {"me": annotator.id}).one_or_none()
    if latest is None:
        return "nothing"
    add_event(
        connection,
        time=now,
        annotator=annotator.id,
        task=latest.task,
        kind="undo",
        nonce=nonce,
        digest=digest,
        undone=latest.event,
        body="{}",
    )
    connection.execute(delete(STANDING).where(STANDING.c.event == latest.event))
    again = {"until": now + study.lease, "now": now, "next": next_turn(connection, annotator)}
    connection.execute(_TAKE_BACK, {"me": annotator.id, "asked": latest.task, **again})
    recount(connection, study, [latest.task])
    return "recorded"


def add_event(connection: Connection, **columns: object) -> int:
    """Add an event, and return its number: higher than all before, as one writes at a time."""
    row = {"imported": 0, "undone": None, **columns}
    number: int = connection.execute(_ADD, row).scalar_one()
    return number


def let_stand(connection: Connection, number: int, annotator: int, task: int, answer: Answer | None) -> None:
    """Let an event's answer, or its skip, stand; the task is in that annotator's hands no longer."""
    told = None if answer is None else said(answer)
    row = {
        "annotator": annotator,
        "task": task,
        "event": number,
        "skip": int(answer is None),
        "said": None if told is None else json.dumps(told),
    }
    connection.execute(_LET_STAND, row)
    connection.execute(_LET_GO, {"me": annotator, "asked": task})


def event_body(answer: object, shown: tuple[int, ...], comment: str, seconds: float) -> str:
    """Return what an event holds beside its columns, as ASCII."""
    return json.dumps({"answer": answer, "shown": shown, "comment": comment, "seconds": seconds})


def _check_posted(posted: Posted) -> None:
    _check_nonce(posted.nonce)
    if posted.kind not in _KINDS:
        raise AnswerError(f"kind is one of {', '.join(_KINDS)}, got {posted.kind!r}")
    if not isinstance(posted.comment, str) or len(posted.comment) > LONGEST_NOTE:
        raise AnswerError(f"comment is a text of at most {LONGEST_NOTE} characters")
    number = isinstance(posted.seconds, int | float) and not isinstance(posted.seconds, bool)
    if not number or not math.isfinite(posted.seconds) or posted.seconds < 0:
        raise AnswerError(f"seconds are a number from 0, got {posted.seconds!r}")


def _check_nonce(nonce: str) -> None:
    if not isinstance(nonce, str) or not re.fullmatch("[!-~]{1,200}", nonce):
        raise AnswerError("nonce is a text of 1 to 200 letters, digits and signs")


def _given(connection: Connection, annotator: Annotator, handle: str) -> Row[Any]:
    row = None
    if isinstance(handle, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", handle):
        row = connection.execute(_GIVEN, {"handle": handle, "me": annotator.id}).one_or_none()
    if row is None:  # another's handle is told no differently from one that is nobody's
        raise NotGivenError("this task was not given to you; reload the page")
    return row


def _repeated(connection: Connection, annotator: Annotator, nonce: str, digest: str) -> bool:
    known = connection.execute(_KNOWN, {"me": annotator.id, "nonce": nonce}).scalar_one_or_none()
    if known is not None and known != digest:
        raise NonceReusedError("this nonce named something else before; send it with a new one")
    return known is not None


def _answer(given: Row[Any], posted: Posted) -> Answer | None:
    """Return a posted answer, oriented as the task; None for a skip or a draft."""
    if posted.kind == "draft":
        return None
    if posted.kind == "skip":
        if posted.answer is not None:
            raise AnswerError("a skip has no answer")
        return None
    if posted.answer is None:
        raise AnswerError("the answer is missing")
    task = read_task(given.body)
    shown = json.loads(given.shown)
    answer = answer_of(task.screen, posted.answer)
    check_against(answer, task.responses, task.steps, task.aspects)
    return as_given(answer, shown)


def _renew(
    connection: Connection, study: Study, annotator: Annotator, given: Row[Any], now: float
) -> None:  # fmt: skip
    if given.expires > now or has_room(connection, annotator, given.task, now):
        hold_on(connection, study, given.id, now)


def _digest(*content: object) -> str:
    # Without the seconds, which a page may count on until it gets through.
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
