"""Store, where labels are kept: tasks, annotators, leases, and events that are only ever added."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

try:
    import sqlalchemy
except ImportError as error:
    from rewards.errors import MissingExtraError

    raise MissingExtraError("sqlalchemy", "web") from error

from judges.human.database import giving as store_giving
from judges.human.database import labels as store_labels
from judges.human.database import people as store_people
from judges.human.database import posting as store_posting
from judges.human.database import tasks as store_tasks
from judges.human.database.connection import Database
from judges.human.database.failures import (
    AlreadyAnsweredError,
    NonceReusedError,
    NotGivenError,
    StoreUnavailableError,
)
from judges.human.database.people import Invitation
from judges.human.database.posting import Recorded, Undone
from judges.human.database.schema import EVENTS, STORE, TASKS
from judges.human.database.tasks import STREAMED, Added, batches, read_study, weight
from judges.human.labels import Annotator, AnnotatorProgress, Given, Label, Posted
from judges.human.study import Study
from judges.human.tasks import Task, TaskState

T = TypeVar("T")

__all__ = [
    "Added",
    "AlreadyAnsweredError",
    "Invitation",
    "NonceReusedError",
    "NotGivenError",
    "Store",
    "StoreUnavailableError",
    "TaskState",
]


class Store:
    """One store of labels, for many threads and, on one database, many processes.

    Whatever writes is one transaction, and is on the disk when the method returns. Each method raises
    StoreUnavailableError where the database cannot do it now; then nothing of it was written, or it is told
    as `repeated` when it is tried again.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time, *, create: bool = True) -> None:
        """Open a store, or make one.

        Args:
            url: A SQLite file or any SQLAlchemy URL of SQLite or PostgreSQL.
            clock: Tells the seconds since 1970 by which leases run out.
            create: Make a store where there is none.

        Raises:
            ConfigError: The database cannot be reached, opened or written to.
            DataError: It holds something else, or a store of another version.
            MissingFileError: There is no store, and none is to be made.
            MissingExtraError: The database's driver is not installed.
        """
        self._database = Database(url, create)
        self._clock = clock
        self.name = self._database.name
        """The URL for people: without its password."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def study(self) -> Study:
        """Return the settings by which tasks are handed out now."""
        with self._database.read() as connection:
            return read_study(connection)

    def set_study(self, study: Study) -> None:
        """Hand out tasks by other settings from now on; those before are kept beside them."""
        now = self._clock()
        self._database.write(lambda connection: store_tasks.write_study(connection, study, now))

    def add_tasks(self, tasks: Iterable[Task]) -> Added:
        """Add the tasks that are not there; those that are stay as they are."""
        new = known = 0
        for some in batches(tasks, weight):
            added = self._writing(store_tasks.add, some)
            new, known = new + added, known + len(some) - added
        return Added(new, known)

    def tasks(self, ids: Iterable[int] | None = None) -> Iterator[tuple[int, Task]]:
        """Give the tasks and their ids, all or some, by id."""
        statement = sqlalchemy.select(TASKS.c.id, TASKS.c.body).order_by(TASKS.c.id)
        chosen = [None] if ids is None else batches(sorted(set(ids)))
        for some in chosen:
            wanted = statement if some is None else statement.where(TASKS.c.id.in_(some))
            with self._database.read() as connection:
                for row in connection.execution_options(yield_per=STREAMED).execute(wanted):
                    yield row.id, store_tasks.read_task(row.body)

    def prioritise(self, priorities: Iterable[tuple[int, float]]) -> int:
        """Set the priority of tasks, by id and in [0, 1]; return how many were set.

        It decides which tasks come first, and is no part of the question.

        Raises:
            DataError: A priority is out of its range.
        """
        told = 0
        for some in batches(priorities):
            self._database.write(partial(store_tasks.prioritise, priorities=some))
            told += len(some)
        return told

    def find(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the ids of the tasks that there are, by `Task.key`."""
        with self._database.read() as connection:
            return store_tasks.find(connection, list(keys))

    def task_states(self) -> list[TaskState]:
        """Return the state of each task, by id."""
        with self._database.read() as connection:
            return store_tasks.states(connection, self._clock())

    def invite(self, name: str) -> Invitation:
        """Make an annotator of this name with a link; the token is None for one who has a link."""
        return self._database.write(lambda connection: store_people.invite(connection, name))

    def renew(self, name: str) -> Invitation:
        """Make a new link for an annotator; the old one leads nowhere from now on."""
        return self._database.write(lambda connection: store_people.renew(connection, name))

    def annotators(self) -> list[Annotator]:
        """Return all annotators, the first made first."""
        with self._database.read() as connection:
            return store_people.annotators(connection)

    def sign_in(self, annotator_id: int, token: str) -> Annotator | None:
        """Return the annotator whom a link belongs to, None for a forged or ended one."""
        with self._database.read() as connection:
            return store_people.signed_in(connection, annotator_id, token)

    def next_task(self, annotator: Annotator) -> Given | None:
        """Return the task in an annotator's hands, or put another there under a lease.

        A task whose lease ran out stays in hand until others have taken its place. None: there is none left
        for this annotator now; `waiting` says whether one may come.
        """
        return self._writing(store_giving.next_given, annotator, self._clock())

    def waiting(self, annotator: Annotator) -> bool:
        """Say, after `next_task` gave None, whether there are tasks that only others hold now."""
        with self._database.read() as connection:
            return store_giving.others_have_them(connection, read_study(connection), annotator)

    def record(self, annotator: Annotator, handle: str, posted: Posted) -> Recorded:
        """Keep an answer, a skip or a draft; `repeated` where this very thing was kept before.

        Raises:
            NotGivenError: This annotator was given no task of that handle.
            NonceReusedError: The nonce named something else.
            AlreadyAnsweredError: The task is answered, and that was not taken back.
            AnswerError: It is no answer to that task.
        """
        return self._writing(store_posting.record, annotator, handle, posted, self._clock())

    def undo(self, annotator: Annotator, nonce: str) -> Undone:
        """Withdraw an annotator's latest answer or skip that stands; its task is in hand again.

        Raises:
            NonceReusedError: The nonce named something else.
        """
        return self._writing(store_posting.undo, annotator, nonce, self._clock())

    def progress(self, annotator: Annotator) -> AnnotatorProgress:
        """Return the progress of an annotator and of the study."""
        with self._database.read() as connection:
            totals = connection.execute(sqlalchemy.select(STORE.c.answers, STORE.c.wanted)).one()
            return AnnotatorProgress(store_giving.done(connection, annotator), totals.answers, totals.wanted)

    def labels(self, task_ids: Iterable[int] | None = None) -> Iterator[Label]:
        """Yield the labels that stand, in order of arrival; on all tasks, or on some."""
        if task_ids is not None:
            yield from self._labels_on(sorted(set(task_ids)))
            return
        with self._database.read() as connection:
            for _, label in store_labels.numbered_labels(connection, None):
                yield label

    def last_event(self) -> int:
        """Return the number of the latest event, 0 before the first: what labels say changes only with it."""
        with self._database.read() as connection:
            latest = sqlalchemy.select(sqlalchemy.func.max(EVENTS.c.number))
            return connection.execute(latest).scalar() or 0

    def events(self) -> Iterator[dict[str, object]]:
        """Yield all events, in order."""
        with self._database.read() as connection:
            yield from store_labels.all_events(connection)

    def import_labels(self, labels: Iterable[Label]) -> Added:
        """Add labels from elsewhere, with the tasks and annotators that are missing.

        A label whose nonce that annotator used is known; one on a task on which that annotator's label
        stands is not taken, and counted as kept.
        """
        new = known = kept = 0
        for some in batches(labels, lambda label: weight(label.task)):
            added = self._writing(store_labels.import_some, some)
            new, known, kept = new + added.new, known + added.known, kept + added.kept
        return Added(new, known, kept)

    def rebuild(self) -> None:
        """Make every cache anew from the events; it is never needed as long as nobody else writes."""
        self._writing(store_labels.rebuild)

    def _labels_on(self, ids: Sequence[int]) -> Iterator[Label]:
        # Some at a time, as a statement takes only so many values; then all in order.
        found: list[tuple[int, Label]] = []
        with self._database.read() as connection:
            for some in batches(ids):
                found += store_labels.numbered_labels(connection, some)
        yield from (label for _, label in sorted(found, key=lambda one: one[0]))

    def _writing(self, action: Callable[..., T], *arguments: object) -> T:
        return self._database.write(
            lambda connection: action(connection, read_study(connection), *arguments)
        )  # fmt: skip
