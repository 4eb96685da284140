"""The tables of a store of labels: events that are only ever added, and caches that events can rebuild."""

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

VERSION = 1
"""Of the tables below; a store of another version is refused, never changed."""

METADATA = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only what is called INTEGER, which holds 64 bits there."""

STORE = Table(
    "label_store",
    METADATA,
    # One row, which whoever writes holds: so one writes at a time, whichever process of whichever machine.
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    # Caches, over the tasks proper.
    Column("answers", BigInteger, nullable=False),
    Column("wanted", BigInteger, nullable=False),
)

STUDY = Table(
    "label_study",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("time", Double, nullable=False),
    Column("settings", Text, nullable=False),
    sqlite_autoincrement=True,
)

TASKS = Table(
    "label_tasks",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("gold", Integer, nullable=False),
    Column("priority", Double, nullable=False),
    Column("place", BigInteger, nullable=False),  # in the random order
    # Caches.
    Column("answers", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("open", Integer, nullable=False),  # 1 where answers are still wanted
    # Last, as SQLite reads through whatever is before a column, and answers may be long.
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("label_tasks_in_order", TASKS.c.open, TASKS.c.place)
Index("label_tasks_needed", TASKS.c.open, TASKS.c.priority.desc(), TASKS.c.answers.desc(), TASKS.c.place)
Index("label_tasks_gold", TASKS.c.gold, TASKS.c.place)

ANNOTATORS = Table(
    "label_annotators",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("token", String(64)),  # its sha256; null where no link was made
    sqlite_autoincrement=True,
)

EVENTS = Table(
    "label_events",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("time", Double, nullable=False),
    Column("annotator", Integer, ForeignKey(ANNOTATORS.c.id), nullable=False),
    Column("task", Integer, ForeignKey(TASKS.c.id), nullable=False),
    Column("kind", String(8), nullable=False),  # answer, skip, draft, undo
    Column("nonce", String(200), nullable=False),
    Column("digest", String(64), nullable=False),  # of what was posted
    Column("imported", Integer, nullable=False),
    Column("undone", BigInteger),  # the number of the event that an undo withdraws
    Column("body", Text, nullable=False),
    UniqueConstraint("annotator", "nonce"),
    sqlite_autoincrement=True,
)
Index("label_events_of_task", EVENTS.c.annotator, EVENTS.c.task, EVENTS.c.number)

ASSIGNMENTS = Table(
    "label_assignments",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("task", Integer, ForeignKey(TASKS.c.id), nullable=False),
    Column("annotator", Integer, ForeignKey(ANNOTATORS.c.id), nullable=False),
    Column("handle", String(64), nullable=False, unique=True),
    Column("shown", Text, nullable=False),
    Column("given", Double, nullable=False),
    Column("turn", Integer, nullable=False),  # the highest is the one that came to hand last
    Column("expires", Double),  # end of the lease; null once it is answered or skipped
    UniqueConstraint("task", "annotator"),
    sqlite_autoincrement=True,
)
Index("label_assignments_in_hand", ASSIGNMENTS.c.annotator, ASSIGNMENTS.c.expires)
Index("label_assignments_turn", ASSIGNMENTS.c.annotator, ASSIGNMENTS.c.turn)

STANDING = Table(
    "label_standing",  # a cache: the answers and skips that were not withdrawn
    METADATA,
    Column("annotator", Integer, ForeignKey(ANNOTATORS.c.id), primary_key=True, autoincrement=False),
    Column("task", Integer, ForeignKey(TASKS.c.id), primary_key=True, autoincrement=False),
    Column("event", _NUMBER, ForeignKey(EVENTS.c.number), nullable=False, unique=True),
    Column("skip", Integer, nullable=False),
    Column("said", Text),  # JSON of `judges.human.answers.said`
)
Index("label_standing_of_task", STANDING.c.task)
Index("label_standing_latest", STANDING.c.annotator, STANDING.c.event)

_REFUSE = (
    "CREATE TRIGGER {table}_{act} BEFORE {act} ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is only ever added to'); END"
)
_REFUSAL = (
    "CREATE OR REPLACE FUNCTION label_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME; END $$"
)
_REFUSE_TABLE = (
    "CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION label_refuse()"
)


def _only_added_to(table: Table) -> None:
    acts = [_REFUSE.format(table=table.name, act=act) for act in ("update", "delete")]
    for text in acts:
        event.listen(table, "after_create", _statement(text).execute_if(dialect="sqlite"))
    for text in (_REFUSAL.replace("%", "%%"), _REFUSE_TABLE.format(table=table.name)):
        event.listen(table, "after_create", _statement(text).execute_if(dialect="postgresql"))


def _statement(text: str) -> DDL:
    return DDL(text)  # type: ignore[no-untyped-call] # SQLAlchemy gives its constructor no types


for _table in (STUDY, EVENTS):
    _only_added_to(_table)
