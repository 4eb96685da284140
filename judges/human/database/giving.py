"""Who gets which task: the one in hand, a planted check, or the next that has room for another answer."""

import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, bindparam, case, exists, func, insert, select, update

from judges.human.answers import answer_of, as_payload, as_shown
from judges.human.assignment import TaskCandidate, choose, order_shown, wants_gold, wants_needed
from judges.human.database.schema import ASSIGNMENTS, EVENTS, STANDING, TASKS
from judges.human.database.tasks import read_task
from judges.human.labels import Annotator, Given
from judges.human.study import Study
from judges.human.tasks import Task

WINDOW = 64
"""Tasks, the most needed ones, of which one is chosen."""

# Made once, as making them takes longer than SQLite takes to run them.
_ME: BindParameter[int] = bindparam("me")
_NOW: BindParameter[float] = bindparam("now")

_OTHERS = (
    select(func.count())
    .where(ASSIGNMENTS.c.task == TASKS.c.id, ASSIGNMENTS.c.expires > _NOW, ASSIGNMENTS.c.annotator != _ME)
    .correlate(TASKS)
    .scalar_subquery()
)
_ROOM = (TASKS.c.gold == 1) | (TASKS.c.answers + _OTHERS < TASKS.c.wanted)
"""That a task takes an answer of this annotator's, without one too many."""

_LIVE = ASSIGNMENTS.c.expires > _NOW
_IN_HAND = (
    select(ASSIGNMENTS.c.id)
    .join(TASKS, TASKS.c.id == ASSIGNMENTS.c.task)
    .where(ASSIGNMENTS.c.annotator == _ME, ASSIGNMENTS.c.expires.is_not(None))
    # Where a lease ran out and others have taken the task meanwhile, it is left to them.
    .where(_LIVE | _ROOM)
    .order_by(case((_LIVE, 0), else_=1), ASSIGNMENTS.c.turn.desc())
    .limit(1)
)
_DONE = select(func.count()).where(STANDING.c.annotator == _ME)
_LAST_TURN = select(func.max(ASSIGNMENTS.c.turn)).where(ASSIGNMENTS.c.annotator == _ME)

_MINE = exists().where(STANDING.c.annotator == _ME, STANDING.c.task == TASKS.c.id)
_OPEN = select(TASKS.c.id, TASKS.c.priority, TASKS.c.place, TASKS.c.answers).where(TASKS.c.open == 1, ~_MINE)
# Each is the order of an index, so that no more is read than is taken.
_NEXT = _OPEN.where(_ROOM).order_by(TASKS.c.place).limit(1)
_NEEDED = (
    _OPEN.where(_ROOM)
    .order_by(TASKS.c.priority.desc(), TASKS.c.answers.desc(), TASKS.c.place)
    .limit(WINDOW)
)  # fmt: skip
_WAITING = select(_OPEN.exists())
_CHECK = select(TASKS.c.id).where(TASKS.c.gold == 1, ~_MINE).order_by(TASKS.c.place).limit(1)
_ANY_PROPER = select(exists().where(TASKS.c.gold == 0))

_HAD = select(STANDING.c.task, STANDING.c.annotator).where(
    STANDING.c.task.in_(bindparam("tasks", expanding=True))
)
_HOLD = select(ASSIGNMENTS.c.task, ASSIGNMENTS.c.annotator).where(
    ASSIGNMENTS.c.task.in_(bindparam("tasks", expanding=True)), _LIVE
)
_REMEMBERED = (
    select(STANDING.c.task)
    .where(STANDING.c.annotator == _ME)
    .order_by(STANDING.c.event.desc())
    .limit(300)
    .subquery()
)
"""The latest tasks, by which it is told whom an annotator has shared tasks with."""
_SHARED = select(STANDING.c.annotator).join(_REMEMBERED, _REMEMBERED.c.task == STANDING.c.task)

_ASKED = select(TASKS.c.key, TASKS.c.body).where(TASKS.c.id == bindparam("id"))
_GIVE = insert(ASSIGNMENTS).returning(ASSIGNMENTS.c.id)
_HOLD_ON = update(ASSIGNMENTS).where(ASSIGNMENTS.c.id == bindparam("held")).values(expires=bindparam("until"))
_HAS_ROOM = select(TASKS.c.id).where(TASKS.c.id == bindparam("id"), _ROOM)
_HELD = (
    select(ASSIGNMENTS, TASKS.c.body)
    .join(TASKS, TASKS.c.id == ASSIGNMENTS.c.task)
    .where(ASSIGNMENTS.c.id == bindparam("id"))
)
_DRAFT = (
    select(EVENTS.c.kind, EVENTS.c.body)
    .where(EVENTS.c.annotator == _ME, EVENTS.c.task == bindparam("id"), EVENTS.c.kind != "undo")
    .order_by(EVENTS.c.number.desc())
    .limit(1)
)


def next_given(connection: Connection, study: Study, annotator: Annotator, now: float) -> Given | None:
    """Return the task that an annotator has in hand, or put another there; None where none is left."""
    held: int | None = connection.execute(_IN_HAND, {"me": annotator.id, "now": now}).scalar_one_or_none()
    if held is None:
        held = _given_anew(connection, study, annotator, now)
    else:
        hold_on(connection, study, held, now)
    return None if held is None else _given(connection, held)


def others_have_them(connection: Connection, study: Study, annotator: Annotator) -> bool:
    """Say whether an annotator for whom there is no task now may get one when others let go of theirs."""
    if _has_enough(study, done(connection, annotator)):
        return False
    return bool(connection.execute(_WAITING, {"me": annotator.id}).scalar())


def done(connection: Connection, annotator: Annotator) -> int:
    """Return how many tasks an annotator has answered or skipped, as far as that stands."""
    return connection.execute(_DONE, {"me": annotator.id}).scalar_one()


def hold_on(connection: Connection, study: Study, assignment: int, now: float) -> None:
    """Begin an assignment's lease again."""
    connection.execute(_HOLD_ON, {"held": assignment, "until": now + study.lease})


def has_room(connection: Connection, annotator: Annotator, task: int, now: float) -> bool:
    """Say whether a task takes an answer of an annotator's, without one too many."""
    asked = {"me": annotator.id, "now": now, "id": task}
    return connection.execute(_HAS_ROOM, asked).scalar_one_or_none() is not None


def next_turn(connection: Connection, annotator: Annotator) -> int:
    """Return the number for a task that comes to hand now: higher than all before."""
    return (connection.execute(_LAST_TURN, {"me": annotator.id}).scalar() or 0) + 1


def _given_anew(connection: Connection, study: Study, annotator: Annotator, now: float) -> int | None:
    count = done(connection, annotator)
    if _has_enough(study, count):
        return None
    task = None
    if wants_gold(study.seed, annotator.name, count, study.gold_every):
        task = _check(connection, annotator)
    if task is None:
        needed = wants_needed(study.seed, annotator.name, count, study.needed_every)
        task = _wanted(connection, annotator, needed, now)
    if task is None and not connection.execute(_ANY_PROPER).scalar():
        task = _check(connection, annotator)  # there is nothing but checks
    if task is None:
        return None
    row = connection.execute(_ASKED, {"id": task}).one()
    shown = order_shown(study.seed, annotator.name, row.key, len(read_task(row.body).responses))
    given = {
        "task": task,
        "annotator": annotator.id,
        "handle": secrets.token_urlsafe(24),
        "shown": json.dumps(shown),
        "given": now,
        "turn": next_turn(connection, annotator),
        "expires": now + study.lease,
    }
    made: int = connection.execute(_GIVE, given).scalar_one()
    return made


def _has_enough(study: Study, count: int) -> bool:
    return 0 < study.most <= count


def _check(connection: Connection, annotator: Annotator) -> int | None:
    check: int | None = connection.execute(_CHECK, {"me": annotator.id}).scalar_one_or_none()
    return check


def _wanted(connection: Connection, annotator: Annotator, needed: bool, now: float) -> int | None:
    asking = {"me": annotator.id, "now": now}
    if not needed:
        following: int | None = connection.execute(_NEXT, asking).scalars().one_or_none()
        return following
    rows = connection.execute(_NEEDED, asking).all()
    had: defaultdict[int, set[int]] = defaultdict(set)
    for statement in (_HAD, _HOLD):
        for task, other in connection.execute(statement, {"tasks": [row.id for row in rows], "now": now}):
            had[task].add(other)
    candidates = [
        TaskCandidate(row.id, row.priority, row.place, row.answers, frozenset(had[row.id])) for row in rows
    ]
    shared = Counter(connection.execute(_SHARED, {"me": annotator.id}).scalars())
    chosen = choose(candidates, needed, annotator.id, shared)
    return None if chosen is None else chosen.task_id


def _given(connection: Connection, assignment: int) -> Given:
    row = connection.execute(_HELD, {"id": assignment}).one()
    task, shown = read_task(row.body), tuple(json.loads(row.shown))
    last = connection.execute(_DRAFT, {"me": row.annotator, "id": row.task}).one_or_none()
    return Given(row.handle, task, row.task, shown, {} if last is None else _draft(last, task, shown))


def _draft(last: Any, task: Task, shown: tuple[int, ...]) -> dict[str, object]:  # noqa: ANN401 - a row
    body = json.loads(last.body)
    said = cast("Mapping[str, object] | None", body["answer"])
    if last.kind == "answer" and said is not None:
        said = as_payload(as_shown(answer_of(task.screen, said), shown))
    return {"answer": said, "comment": body["comment"], "seconds": body["seconds"]}
