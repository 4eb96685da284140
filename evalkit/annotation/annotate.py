"""`evalkit annotate`: adds tasks and annotators to the store, prints links, and serves the page."""

import secrets
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from evalkit.annotation.config import Annotate
from evalkit.annotation.links import check_free, hand_out
from evalkit.runs import say, warn
from judges.human.answers import PairwiseAnswer
from judges.human.priorities import disagreements, priorities
from judges.human.rows.reading import Reading, read_tasks
from judges.human.study import Study
from judges.human.tasks import Screen, Task
from judges.human.web.reach import Reach, admin_link, checked_address, own_address, sign_in_link
from judges.judge import WINNERS
from judges.verdicts.reading import read_verdicts
from rewards.errors import ConfigError, MissingExtraError, MissingFileError

if TYPE_CHECKING:  # imported where they are used: they need the extra `web`
    from fastapi import FastAPI

    from judges.human.store import Store
    from judges.human.web.admin_page import AdminPage

QUESTIONS: dict[Screen, str] = {
    "pairwise": Study().title,
    "best": "Which answer is best, and how good is each?",
    "ranking": "Put the answers in order",
    "steps": "Where does the solution go wrong?",
    "spans": "What is wrong, and what is missing?",
}
"""The page's heading where none is given."""


def run(config: Annotate) -> None:
    """Add tasks and annotators to the store, print the links, and serve the page.

    All errors of settings and data are raised before the store is changed.

    Raises:
        ConfigError: The port is taken, or a setting is out of its range.
        DataError: A row is no task, or the database is not an annotation store.
    """
    _check_installed()
    from evalkit.annotation.serving import (  # after the check: it needs the extra `web`
        listening_socket,
        serve,
    )

    address = checked_address(config.address) if config.address else ""
    given = _given_settings(config)
    with listening_socket(config.host, config.port) as listening:
        data = _Data(config)
        port = listening.getsockname()[1]
        names = () if config.host == "127.0.0.1" else (socket.gethostname(),)
        reach = Reach(config.host, address, names, port)
        reached = address or own_address(_called(config.host), port)
        admin_token = secrets.token_urlsafe(32)
        with _opened(config) as store:
            _check(store, config, data)
            _prepare(store, config, given, data)
            _invite(store, config, reached)
            app = _application(store, config, admin_token, reach)
            say(f"Figures for you alone: {admin_link(reached, admin_token)}")
            _warn(reach, reached)
            notice = f"The page is at {reached}; Ctrl-C stops it."
            serve(app, listening, lambda: say(notice))
    say("stopped; everything is kept, and the same command goes on from there")


class _Data:
    """The tasks of a command, read once to validate them, and again to add them."""

    def __init__(self, config: Annotate) -> None:
        self._config = config
        self.identical: Counter[str] = Counter()
        self.count = 0
        self.checks: dict[str, object] = {}
        """What is known of each check, by the task's key."""
        self.screen: Screen | None = None
        self.disagreement = disagreements(chain.from_iterable(map(read_verdicts, sources(config.verdicts))))
        for task in self._read(self.identical):
            self.screen = self.screen or task.screen
            self.count += 1
            if task.gold is not None:
                self.checks[task.key] = _known(task)

    def tasks(self) -> Iterable[Task]:
        """Yield the tasks."""
        return self._read()

    def _read(self, passed: Counter[str] | None = None) -> Iterator[Task]:
        config = self._config
        if not config.data:
            return iter(())
        reading = Reading(
            config.screen, config.axis, tuple(config.aspects), config.separator, dict(config.rename)
        )
        return read_tasks(config.data, reading, passed)


def sources(given: list[str] | str) -> list[str]:
    """Return the files of an option: none, one or several."""
    return [given] if isinstance(given, str) and given else list(given)


def _given_settings(config: Annotate) -> dict[str, object]:
    """Return the study settings that the command gives; the others keep the store's values.

    Raises:
        ConfigError: One is out of its range.
        MissingFileError: There is no such file of instructions.
    """
    given = {item.name: getattr(config, item.name) for item in fields(Study)}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    if config.instructions:
        path = Path(config.instructions)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file of instructions")
        try:
            given["instructions"] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not a text in UTF-8 ({error.reason})") from None
    Study(**given)
    return given


def _opened(config: Annotate) -> "Store":
    """Open the store; without data it must exist.

    Raises:
        MissingFileError: There is no store, and no data to start one.
    """
    from judges.human.store import Store

    return Store(config.db, create=bool(config.data))


def _check(store: "Store", config: Annotate, data: _Data) -> None:
    """Refuse a command that would fail halfway, before anything is changed.

    Raises:
        ConfigError: There is nothing to label, or a name is invalid.
        OutputExistsError: The file for links exists, and there are new annotators.
    """
    from judges.human.database.people import check_name

    for name in config.annotators:
        check_name(name)
    if not data.count and not any(True for _ in store.tasks()):
        raise ConfigError(f"{store.name}: holds nothing to label; --data names what is")
    if {annotator.name for annotator in store.annotators()}.issuperset(config.annotators):
        return
    check_free(config.links)


def _prepare(store: "Store", config: Annotate, given: dict[str, object], data: _Data) -> None:
    """Write settings and tasks to the store, and print the counts."""
    before = store.study()
    if data.screen and "title" not in given and before.title in QUESTIONS.values():
        given = given | {"title": QUESTIONS[data.screen]}
    store.set_study(replace(before, **given))  # type: ignore[arg-type]  # checked as Study(**given)
    if config.data:
        added = store.add_tasks(data.tasks())
        checks = f", {len(data.checks)} of them checks whose answer is known" if data.checks else ""
        changes = f"{added.new} tasks added, {added.known} were there already{checks}"
        unlike = sum(data.checks[task.key] != _known(task) for task in _found(store, data.checks))
    else:
        changes, unlike = "opened as it is", 0
    say(f"{store.name}: {changes}")
    if unlike:
        why = "were there before without an answer that is known, or with another"
        say(f"{unlike} checks {why}, and stay so; another id makes new ones")
    for reason, count in data.identical.items():
        say(f"{count} rows {reason}, are not asked")
    if data.disagreement:
        # Those that were there, too: verdicts may be newer than the tasks.
        judged = store.prioritise(list(priorities(store.tasks(), data.disagreement)))
        say(f"{judged} tasks have verdicts of judges; where those disagree comes first")


def _found(store: "Store", keys: Iterable[str]) -> Iterator[Task]:
    return (task for _, task in store.tasks(store.find(keys).values()))


def _known(task: Task) -> object:
    """Return the gold label of a check, whichever response is first; None for other tasks."""
    if isinstance(task.gold, PairwiseAnswer) and task.gold.winner != "tie":
        better = task.responses[WINNERS.index(task.gold.winner)]
        return sha256(better.encode("utf-8", "surrogatepass")).digest()  # as the answer may be long
    return task.gold


def _invite(store: "Store", config: Annotate, reached: str) -> None:
    """Make a link for each new annotator."""
    names = list(dict.fromkeys(config.annotators))
    invited = map(store.invite, names)
    made = (
        (invitation.annotator.name, sign_in_link(reached, invitation.annotator.id, invitation.token))
        for invitation in invited
        if invitation.token is not None
    )
    new = hand_out(made, config.links)
    if again := [name for name in names if name not in new]:
        listed = ", ".join(again)
        say(f"Have a link: {listed}; evalkit labels invite --renew makes new ones")
    if not store.annotators():
        say("Nobody can sign in yet; evalkit labels invite makes links")


def _application(store: "Store", config: Annotate, admin_token: str, reach: Reach) -> "FastAPI":
    from judges.human.web.app import make_app

    return make_app(store, admin_token, _Figures(store, sources(config.verdicts)), reach)


class _Figures:
    """The admin view's statistics, imported on first use, as that takes a second."""

    def __init__(self, store: "Store", verdicts: Sequence[str]) -> None:
        self._store = store
        self._verdicts = verdicts
        self._lock = Lock()
        self._page: AdminPage | None = None

    def overview(self) -> Mapping[str, object]:
        return self._made().overview()

    def disagreements(self, page: int) -> Mapping[str, object]:
        return self._made().disagreements(page)

    def _made(self) -> "AdminPage":
        with self._lock:
            if self._page is None:
                from judges.human.figures.study_numbers import StudyNumbers
                from judges.human.web.admin_page import AdminPage

                self._page = AdminPage(StudyNumbers(self._store, self._verdicts), self._store)
            return self._page


def _warn(reach: Reach, reached: str) -> None:
    if not reached.startswith("https://") and not (reach.local and not reach.address):
        warn(
            "Warning: links and answers travel unencrypted; put the page behind https and give --address "
            "https://..., or keep to a network that you trust"
        )


def _called(host: str) -> str:
    """Return the host name for links where the server listens on all addresses."""
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host


def _check_installed() -> None:
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "web")
