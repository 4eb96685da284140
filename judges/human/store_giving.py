"""Who gets which task: the one in hand, a planted check, or the next that has room for another answer."""

import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, exists, func, insert, select, update

from judges.human.answers import answer_of, as_payload, as_shown
from judges.human.assignment import Candidate, choose, order_shown, wants_gold, wants_needed
from judges.human.labels import Annotator, Given
from judges.human.store_schema import ASSIGNMENTS, EVENTS, STANDING, TASKS
from judges.human.store_tasks import read_task
from judges.human.study import Study
from judges.human.tasks import Task

WINDOW = 64
"""Tasks, the most needed ones, of which one is chosen."""

_REMEMBERED = 300
"""Answers, the latest ones, by which it is told whom an annotator has shared tasks with."""


def next_given(connection: Connection, study: Study, annotator: Annotator, now: float) -> Given | None:
    """Return the task that an annotator has in hand, or put another there; None where none is left."""
    held = _in_hand(connection, annotator, now)
    if held is None:
        held = _given_anew(connection, study, annotator, now)
    if held is None:
        return None
    connection.execute(
        update(ASSIGNMENTS).where(ASSIGNMENTS.c.id == held).values(expires=now + study.lease)
    )  # fmt: skip
    return _given(connection, held)


def others_have_them(connection: Connection, study: Study, annotator: Annotator) -> bool:
    """Say whether an annotator for whom there is no task now may get one when others let go of theirs."""
    if _has_enough(study, done(connection, annotator)):
        return False
    return bool(connection.execute(select(_missing(annotator).exists())).scalar())


def done(connection: Connection, annotator: Annotator) -> int:
    """Return how many tasks an annotator has answered or skipped, as far as that stands."""
    count = select(func.count()).where(STANDING.c.annotator == annotator.id)
    return connection.execute(count).scalar_one()


def has_room(annotator: Annotator, now: float) -> ColumnElement[bool]:
    """Return the condition that a task takes an answer of an annotator's, without one too many."""
    others = (
        select(func.count())
        .where(ASSIGNMENTS.c.task == TASKS.c.id)
        .where(ASSIGNMENTS.c.expires > now, ASSIGNMENTS.c.annotator != annotator.id)
        .correlate(TASKS)
        .scalar_subquery()
    )
    return (TASKS.c.gold == 1) | (TASKS.c.answers + others < TASKS.c.wanted)


def _in_hand(connection: Connection, annotator: Annotator, now: float) -> int | None:
    # Where a lease ran out and others have taken the task meanwhile, it is left to them.
    held = (
        select(ASSIGNMENTS.c.id)
        .join(TASKS, TASKS.c.id == ASSIGNMENTS.c.task)
        .where(ASSIGNMENTS.c.annotator == annotator.id, ASSIGNMENTS.c.expires.is_not(None))
    )
    live = held.where(ASSIGNMENTS.c.expires > now).order_by(ASSIGNMENTS.c.turn.desc()).limit(1)
    found: int | None = connection.execute(live).scalar_one_or_none()
    if found is not None:
        return found
    late = held.where(has_room(annotator, now)).order_by(ASSIGNMENTS.c.turn.desc()).limit(1)
    left: int | None = connection.execute(late).scalar_one_or_none()
    return left


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
    if task is None and not connection.execute(select(exists().where(TASKS.c.gold == 0))).scalar():
        task = _check(connection, annotator)  # there is nothing but checks
    if task is None:
        return None
    row = connection.execute(select(TASKS.c.key, TASKS.c.body).where(TASKS.c.id == task)).one()
    shown = order_shown(study.seed, annotator.name, row.key, len(read_task(row.body).responses))
    given = insert(ASSIGNMENTS).values(
        task=task,
        annotator=annotator.id,
        handle=secrets.token_urlsafe(24),
        shown=json.dumps(shown),
        given=now,
        turn=next_turn(connection, annotator),
        expires=now + study.lease,
    )
    made: int = connection.execute(given.returning(ASSIGNMENTS.c.id)).scalar_one()
    return made


def next_turn(connection: Connection, annotator: Annotator) -> int:
    """Return the number for a task that comes to hand now: higher than all before."""
    latest = select(func.max(ASSIGNMENTS.c.turn)).where(ASSIGNMENTS.c.annotator == annotator.id)
    return (connection.execute(latest).scalar() or 0) + 1


def _has_enough(study: Study, count: int) -> bool:
    return 0 < study.most <= count


def _missing(annotator: Annotator) -> Any:  # noqa: ANN401 - Select[...] of what is selected of it
    mine = exists().where(STANDING.c.annotator == annotator.id, STANDING.c.task == TASKS.c.id)
    columns = (TASKS.c.id, TASKS.c.priority, TASKS.c.place, TASKS.c.answers)
    return select(*columns).where(TASKS.c.open == 1, ~mine)


def _check(connection: Connection, annotator: Annotator) -> int | None:
    mine = exists().where(STANDING.c.annotator == annotator.id, STANDING.c.task == TASKS.c.id)
    checks = select(TASKS.c.id).where(TASKS.c.gold == 1, ~mine).order_by(TASKS.c.place).limit(1)
    return connection.execute(checks).scalar_one_or_none()


def _wanted(connection: Connection, annotator: Annotator, needed: bool, now: float) -> int | None:
    tasks = _missing(annotator).where(has_room(annotator, now))
    if needed:
        # The order of an index, so that no more than the window is read.
        order = (TASKS.c.priority.desc(), TASKS.c.answers.desc(), TASKS.c.place)
        rows = connection.execute(tasks.order_by(*order).limit(WINDOW)).all()
    else:
        rows = connection.execute(tasks.order_by(TASKS.c.place).limit(1)).all()
    candidates = _candidates(connection, rows, now) if needed else [Candidate(*row) for row in rows]
    shared = _shared(connection, annotator) if needed and len(rows) > 1 else {}
    chosen = choose(candidates, needed, annotator.id, shared)
    return None if chosen is None else chosen.task_id


def _candidates(connection: Connection, rows: Sequence[Any], now: float) -> list[Candidate]:
    ids = [row.id for row in rows]
    had: defaultdict[int, set[int]] = defaultdict(set)
    standing = select(STANDING.c.task, STANDING.c.annotator).where(STANDING.c.task.in_(ids))
    held = select(ASSIGNMENTS.c.task, ASSIGNMENTS.c.annotator).where(ASSIGNMENTS.c.task.in_(ids))
    for statement in (standing, held.where(ASSIGNMENTS.c.expires > now)):
        for task, other in connection.execute(statement):
            had[task].add(other)
    return [Candidate(row.id, row.priority, row.place, row.answers, frozenset(had[row.id])) for row in rows]


def _shared(connection: Connection, annotator: Annotator) -> Mapping[int, int]:
    mine = (
        select(STANDING.c.task)
        .where(STANDING.c.annotator == annotator.id)
        .order_by(STANDING.c.event.desc())
        .limit(_REMEMBERED)
        .subquery()
    )
    others = select(STANDING.c.annotator).join(mine, mine.c.task == STANDING.c.task)
    return Counter(connection.execute(others).scalars())


def _given(connection: Connection, assignment: int) -> Given:
    row = connection.execute(
        select(ASSIGNMENTS, TASKS.c.body)
        .join(TASKS, TASKS.c.id == ASSIGNMENTS.c.task)
        .where(ASSIGNMENTS.c.id == assignment)
    ).one()
    task, shown = read_task(row.body), tuple(json.loads(row.shown))
    draft = _draft(connection, row.annotator, row.task, task, shown)
    return Given(row.handle, task, row.task, shown, draft)


def _draft(
    connection: Connection, annotator: int, task_id: int, task: Task, shown: tuple[int, ...]
) -> dict[str, object]:
    last = connection.execute(
        select(EVENTS.c.kind, EVENTS.c.body)
        .where(EVENTS.c.annotator == annotator, EVENTS.c.task == task_id, EVENTS.c.kind != "undo")
        .order_by(EVENTS.c.number.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return {}
    body = json.loads(last.body)
    said = cast("Mapping[str, object] | None", body["answer"])
    if last.kind == "answer" and said is not None:
        said = as_payload(as_shown(answer_of(task.screen, said), shown))
    return {"answer": said, "comment": body["comment"], "seconds": body["seconds"]}
