"""What is asked, in the store: the study's settings, tasks, and the counts of their answers."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select, update

from judges.human.assignment import answers_wanted, random_order
from judges.human.database.schema import ASSIGNMENTS, STANDING, STORE, STUDY, TASKS
from judges.human.study import Study
from judges.human.tasks import Task, TaskState, task_of, task_row
from rewards.errors import DataError

AT_ONCE = 500
"""Rows of one transaction or one list of values: databases take only so many, and others wait."""

HEAVIEST = 8_000_000
"""Characters that are written at once, whose copies are in memory together."""
STREAMED = 25
"""Tasks that are read at once, for the same reason."""

T = TypeVar("T")

_SETTINGS = select(STUDY.c.settings).order_by(STUDY.c.id.desc()).limit(1)
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_STANDING = (
    select(STANDING.c.task, STANDING.c.skip, STANDING.c.said)
    .where(STANDING.c.task.in_(_IDS))
    .order_by(STANDING.c.event)
)
_COUNTED = select(TASKS.c.id, TASKS.c.gold, TASKS.c.answers, TASKS.c.wanted).where(TASKS.c.id.in_(_IDS))
_COUNT = (
    update(TASKS)
    .where(TASKS.c.id == bindparam("task"))
    .values(
        answers=bindparam("counted"), skipped=bindparam("skips"), wanted=bindparam("wants"),
        open=bindparam("more"),
    )
)  # fmt: skip
_PRIORITISE = update(TASKS).where(TASKS.c.id == bindparam("task")).values(priority=bindparam("needed"))
_TOTAL = update(STORE).values(
    answers=STORE.c.answers + bindparam("more_answers"), wanted=STORE.c.wanted + bindparam("more_wanted")
)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the tasks or labels that were to be added."""

    new: int
    known: int
    """Were there already."""
    kept: int = 0
    """Labels left out, as another label of that annotator stands on that task."""


def batches(items: Iterable[T], weigh: Callable[[T], int] | None = None) -> Iterator[list[T]]:
    """Cut a sequence into lists of at most AT_ONCE, and of little more than HEAVIEST by weight."""
    batch: list[T] = []
    weight = 0
    for item in items:
        batch.append(item)
        weight += weigh(item) if weigh else 0
        if len(batch) == AT_ONCE or weight >= HEAVIEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def weight(task: Task) -> int:
    """Return the characters of a task's texts."""
    prompt = (task.prompt,) if isinstance(task.prompt, str) else (turn.content for turn in task.prompt)
    return sum(map(len, chain(prompt, task.responses, task.steps)))


def read_study(connection: Connection) -> Study:
    """Return the settings that hold now: the latest."""
    settings = connection.execute(_SETTINGS).scalar_one_or_none()
    return Study() if settings is None else Study(**json.loads(settings))


def write_study(connection: Connection, study: Study, now: float) -> None:
    """Let other settings hold from now on, and do to the tasks what follows from them."""
    before = read_study(connection)
    if before == study:
        return
    connection.execute(insert(STUDY).values(time=now, settings=json.dumps(asdict(study))))
    if before.seed != study.seed:
        _reorder(connection, study.seed)
    if (before.overlap, before.tiebreak) != (study.overlap, study.tiebreak):
        _want(connection, before, study)


def add(connection: Connection, study: Study, tasks: Sequence[Task]) -> int:
    """Add the tasks that are not there, and return how many those were."""
    wanting: dict[str, Task] = {}
    for task in tasks:
        wanting.setdefault(task.key, task)
    for key in find(connection, list(wanting)):
        del wanting[key]
    rows = [
        {
            "key": key,
            "body": _body(task),
            "gold": int(task.gold is not None),
            "priority": float(task.priority),
            "place": random_order(study.seed, key),
            "answers": 0,
            "skipped": 0,
            "wanted": 0 if task.gold is not None else study.overlap,
            "open": int(task.gold is None),
        }
        for key, task in wanting.items()
    ]
    if rows:
        connection.execute(insert(TASKS), rows)
        wanted = study.overlap * sum(task.gold is None for task in wanting.values())
        connection.execute(update(STORE).values(wanted=STORE.c.wanted + wanted))
    return len(rows)


def find(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Return the ids of the tasks that there are, by key."""
    found: dict[str, int] = {}
    for some in batches(keys):
        rows = connection.execute(select(TASKS.c.key, TASKS.c.id).where(TASKS.c.key.in_(some)))
        found.update({row.key: row.id for row in rows})
    return found


def prioritise(connection: Connection, priorities: Sequence[tuple[int, float]]) -> None:
    """Say anew how much a label is needed on some tasks."""
    for task, priority in priorities:
        if not 0 <= priority <= 1:
            raise DataError(f"task {task}: priority is in [0, 1], got {priority!r}")
    rows = [{"task": task, "needed": float(priority)} for task, priority in priorities]
    connection.execute(_PRIORITISE, rows)


def read_task(body: str) -> Task:
    """Return the task of a row's `body`."""
    return task_of(json.loads(body))


def states(connection: Connection, now: float) -> list[TaskState]:
    """Return how far each task is, by id."""
    live = (
        select(ASSIGNMENTS.c.task, func.count().label("held"))
        .where(ASSIGNMENTS.c.expires > now)
        .group_by(ASSIGNMENTS.c.task)
        .subquery()
    )
    rows = connection.execute(
        select(
            TASKS.c.id,
            TASKS.c.gold,
            TASKS.c.priority,
            TASKS.c.place,
            TASKS.c.answers,
            TASKS.c.wanted,
            TASKS.c.skipped,
            func.coalesce(live.c.held, 0),
        )
        .select_from(TASKS.outerjoin(live, live.c.task == TASKS.c.id))
        .order_by(TASKS.c.id)
    )
    return [TaskState(row[0], bool(row[1]), *row[2:]) for row in rows]


def recount(connection: Connection, study: Study, ids: Sequence[int]) -> None:
    """Count anew what stands on some tasks (at most AT_ONCE), and how many answers they are to have."""
    said: defaultdict[int, list[str | None]] = defaultdict(list)
    skipped: defaultdict[int, int] = defaultdict(int)
    for row in connection.execute(_STANDING, {"ids": ids}):
        if row.skip:
            skipped[row.task] += 1
        else:
            said[row.task].append(row.said)
    rows = []
    answers = wanted = 0
    for task in connection.execute(_COUNTED, {"ids": ids}):
        count = len(said[task.id])
        wants = 0 if task.gold else answers_wanted(said[task.id], study.overlap, study.tiebreak)
        new = {"counted": count, "skips": skipped[task.id], "wants": wants, "more": int(count < wants)}
        rows.append({"task": task.id, **new})
        if not task.gold:
            answers += count - task.answers
            wanted += wants - task.wanted
    if rows:
        connection.execute(_COUNT, rows)
        connection.execute(_TOTAL, {"more_answers": answers, "more_wanted": wanted})


def _want(connection: Connection, before: Study, study: Study) -> None:
    # What nobody has answered, most of it as a rule, goes by a statement.
    fresh = update(TASKS).where(TASKS.c.gold == 0, TASKS.c.answers == 0).values(wanted=study.overlap)
    more = connection.execute(fresh).rowcount * (study.overlap - before.overlap)
    connection.execute(_TOTAL, {"more_answers": 0, "more_wanted": more})
    for ids in batches(connection.execute(select(TASKS.c.id).where(TASKS.c.answers > 0)).scalars().all()):
        recount(connection, study, ids)


def _reorder(connection: Connection, seed: int) -> None:
    keys = connection.execute(select(TASKS.c.id, TASKS.c.key)).all()
    moved = update(TASKS).where(TASKS.c.id == bindparam("task")).values(place=bindparam("to"))
    for some in batches(keys):
        connection.execute(moved, [{"task": row.id, "to": random_order(seed, row.key)} for row in some])


def _body(task: Task) -> str:
    try:
        # ASCII, so that a database takes what its own texts cannot hold: NUL, half of a surrogate pair.
        return json.dumps(task_row(task), ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise DataError(f"id {task.id!r}: extra holds what JSON cannot: {error}") from None
