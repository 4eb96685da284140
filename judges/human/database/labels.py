"""Labels out of the store and into it: what stands, all that happened, and labels from elsewhere."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from judges.human.answers import answer_of, as_given, as_payload, check_answer, said
from judges.human.database.people import people
from judges.human.database.posting import add_event, event_body, let_stand
from judges.human.database.schema import ANNOTATORS, ASSIGNMENTS, EVENTS, STANDING, STORE, TASKS
from judges.human.database.tasks import STREAMED, Added, add, batches, find, read_task, recount
from judges.human.labels import Label
from judges.human.study import Study
from judges.human.tasks import turned

_BODY = select(TASKS.c.body).where(TASKS.c.id == bindparam("id"))
"""Made once, as making it for each of very many labels takes longer than running it."""


def numbered_labels(connection: Connection, ids: Sequence[int] | None) -> Iterator[tuple[int, Label]]:
    """Give what stands by number of event, as it came in; on all tasks, or on some (at most AT_ONCE)."""
    statement = (
        select(EVENTS, ANNOTATORS.c.name, TASKS.c.body.label("asked"))
        .join(STANDING, STANDING.c.event == EVENTS.c.number)
        .join(TASKS, TASKS.c.id == EVENTS.c.task)
        .join(ANNOTATORS, ANNOTATORS.c.id == EVENTS.c.annotator)
        .order_by(EVENTS.c.number)
    )
    if ids is not None:
        statement = statement.where(EVENTS.c.task.in_(ids))
    streaming = connection.execution_options(yield_per=STREAMED)
    for row in streaming.execute(statement):
        yield row.number, _label(row)


def all_events(connection: Connection) -> Iterator[dict[str, object]]:
    """Give all that happened, in the order in which it did."""
    statement = select(EVENTS, ANNOTATORS.c.name).join(ANNOTATORS, ANNOTATORS.c.id == EVENTS.c.annotator)
    streaming = connection.execution_options(yield_per=500)
    for row in streaming.execute(statement.order_by(EVENTS.c.number)):
        yield {
            "number": row.number,
            "time": row.time,
            "annotator": row.name,
            "task_id": row.task,
            "kind": row.kind,
            "nonce": row.nonce,
            "imported": bool(row.imported),
            "undone": row.undone,
            **json.loads(row.body),
        }


def import_some(connection: Connection, study: Study, labels: Sequence[Label]) -> Added:
    """Add labels that are not there yet, with their tasks and annotators."""
    add(connection, study, [label.task for label in labels])
    ids = find(connection, list({label.task.key for label in labels}))
    who = people(connection, {label.annotator for label in labels})
    stands = _standing(connection, list(ids.values()))
    known = _nonces(connection, list(who.values()), [_nonce(label) for label in labels])
    new = repeated = kept = 0
    for label in labels:
        nonce, annotator, task = _nonce(label), who[label.annotator], ids[label.task.key]
        if (annotator, nonce) in known:
            repeated += 1
        elif (annotator, task) in stands:
            kept += 1
        else:
            new += 1
            _add(connection, label, annotator, task)
            stands.add((annotator, task))
            known.add((annotator, nonce))
    recount(connection, study, list(ids.values()))
    return Added(new, repeated, kept)


def rebuild(connection: Connection, study: Study) -> None:
    """Make every cache anew from the events."""
    connection.execute(delete(STANDING))
    standing: dict[tuple[int, int], dict[str, object]] = {}
    by_number: dict[int, tuple[int, int]] = {}
    statement = select(EVENTS, TASKS.c.body.label("asked")).join(TASKS, TASKS.c.id == EVENTS.c.task)
    for row in connection.execute(statement.order_by(EVENTS.c.number)):
        place = row.annotator, row.task
        if row.kind == "undo":
            del standing[by_number[row.undone]]
        elif row.kind in ("answer", "skip"):
            by_number[row.number] = place
            standing[place] = _standing_row(row)
    for rows in batches(sorted(standing.values(), key=lambda row: str(row["event"]).zfill(20))):
        connection.execute(insert(STANDING), rows)
    _rebuild_leases(connection)
    connection.execute(update(TASKS).values(answers=0, wanted=0))
    connection.execute(update(STORE).values(answers=0, wanted=0))
    for ids in batches(connection.execute(select(TASKS.c.id)).scalars().all()):
        recount(connection, study, ids)


def _rebuild_leases(connection: Connection) -> None:
    stands = (
        select(STANDING.c.event)
        .where(STANDING.c.annotator == ASSIGNMENTS.c.annotator, STANDING.c.task == ASSIGNMENTS.c.task)
        .exists()
    )
    connection.execute(update(ASSIGNMENTS).where(stands).values(expires=None))
    lost = update(ASSIGNMENTS).where(~stands, ASSIGNMENTS.c.expires.is_(None))
    connection.execute(lost.values(expires=ASSIGNMENTS.c.given))


def _standing_row(row: Row[Any]) -> dict[str, object]:
    told = None
    if row.kind == "answer":
        answer = answer_of(json.loads(row.asked)["screen"], json.loads(row.body)["answer"])
        told = said(answer)
    return {
        "annotator": row.annotator,
        "task": row.task,
        "event": row.number,
        "skip": int(row.kind == "skip"),
        "said": None if told is None else json.dumps(told),
    }


def _label(row: Row[Any]) -> Label:
    task, body = read_task(row.asked), json.loads(row.body)
    return Label(
        task_id=row.task,
        task=task,
        annotator=row.name,
        answer=None if row.kind == "skip" else answer_of(task.screen, body["answer"]),
        shown=tuple(body["shown"]),
        comment=body["comment"],
        seconds=body["seconds"],
        time=row.time,
        nonce=row.nonce,
        imported=bool(row.imported),
    )


def _add(connection: Connection, label: Label, annotator: int, task: int) -> None:
    body = connection.execute(_BODY, {"id": task}).scalar_one()
    label = _as_kept(label, body)
    answer = label.answer
    number = add_event(
        connection,
        time=label.time,
        annotator=annotator,
        task=task,
        kind="skip" if answer is None else "answer",
        nonce=_nonce(label),
        digest="imported",
        imported=1,
        body=event_body(
            None if answer is None else as_payload(answer), label.shown, label.comment, label.seconds
        ),
    )
    let_stand(connection, number, annotator, task, answer)


def _as_kept(label: Label, body: str) -> Label:
    """Return a label oriented as the store's task, which may have the two answers the other way round."""
    task = read_task(body)
    if task.screen == "pairwise" and turned(task, label.task.responses[0]):
        answer = None if label.answer is None else as_given(label.answer, (1, 0))
        label = replace(label, answer=answer, shown=tuple(1 - place for place in label.shown))
    if label.answer is not None:
        check_answer(label.answer, task.responses, task.steps, task.aspects)
    return label


def _nonce(label: Label) -> str:
    if label.nonce:
        return label.nonce
    told = None if label.answer is None else as_payload(label.answer)
    content = json.dumps([label.task.key, label.task.responses, label.annotator, told], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _standing(connection: Connection, ids: Sequence[int]) -> set[tuple[int, int]]:
    rows = connection.execute(
        select(STANDING.c.annotator, STANDING.c.task).where(STANDING.c.task.in_(ids))
    )  # fmt: skip
    return {(row.annotator, row.task) for row in rows}


def _nonces(connection: Connection, annotators: Sequence[int], nonces: Sequence[str]) -> set[tuple[int, str]]:
    rows = connection.execute(
        select(EVENTS.c.annotator, EVENTS.c.nonce).where(
            EVENTS.c.annotator.in_(annotators), EVENTS.c.nonce.in_(nonces)
        )
    )
    return {(row.annotator, row.nonce) for row in rows}
