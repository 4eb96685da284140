"""A real browser on a real study: `evalkit annotate` in a process of its own, and people who use its page."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from judges.human.answers import Answer
from judges.human.labels import Label
from judges.human.store import Store
from judges.human.tasks import Task
from judges.human.web.reach import sign_in_link
from tests.processes import Forked, command_code

ROOT = Path(__file__).parents[3]
# No word leaves this machine, whatever a page asks for.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
EVERYBODY = ("--overlap", "99", "--gold_every", "0", "--needed_every", "0")
"""Settings with which each person is given each task."""
READY = "body[data-ready]:not([data-left])"

Serve = Callable[..., "Study"]
Visit = Callable[..., "Person"]


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    # For one file at a time: as long as Playwright is open, an event loop runs in this thread, and other
    # tests start theirs.
    binary = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if binary is None or sync_playwright is None:
        lacks = "needs chromium on the PATH" if binary is None else "needs the Python package playwright"
        pytest.fail(lacks) if os.environ.get("CI") else pytest.skip(lacks)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()


class Study:
    """A store, and `evalkit annotate` that serves it."""

    def __init__(
        self, folder: Path, options: Sequence[str] = EVERYBODY, *, rows=(), tasks: Sequence[Task] = ()
    ):
        self.store = Store(str(folder / "labels.db"))
        self.store.add_tasks(tasks)
        self._options = ["--db", str(folder / "labels.db"), *options]
        if rows:
            data = folder / "rows.jsonl"
            data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            self._options += ["--data", str(data)]
        self._links: dict[str, str] = {}
        self.port = 0
        self.start()

    def start(self) -> None:
        """Serve, after a stop on the same port as before."""
        options = ["annotate", *self._options, "--port", str(self.port)]
        self.process = Forked(command_code(options), cwd=ROOT)
        told = ""
        while "Ctrl-C stops it" not in told:
            line = self.process.readline()
            assert line, f"evalkit annotate ended: {told}{self.process.completed().stderr}"
            told += line
        self.admin = re.search(r"http://\S+/admin/sign-in/\S+", told)[0]
        self.address = re.search(r"The page is at (\S+);", told)[1]
        self.port = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        self.process.kill()
        self._ended()

    def close(self) -> None:
        self.kill()
        self.store.close()

    def _ended(self) -> None:
        self.process.wait(timeout=30)

    def link(self, name: str) -> str:
        """Return somebody's personal link."""
        if name not in self._links:
            invited = self.store.invite(name)
            assert invited.token is not None
            self._links[name] = f"{invited.annotator.id} {invited.token}"
        annotator, token = self._links[name].split()
        return sign_in_link(self.address, int(annotator), token)

    def labels(self, name: str) -> dict[str, Label]:
        """Return what stands of somebody, by the task's id; nothing stands twice."""
        labels = [label for label in self.store.labels() if label.annotator == name]
        found = {label.task.id: label for label in labels}
        assert len(found) == len(labels)
        return found

    def answers(self, name: str) -> dict[str, Answer | None]:
        """Return what somebody says of each task, told as the task was given."""
        return {task: label.answer for task, label in self.labels(name).items()}


class Person:
    """Somebody's browser, in which nothing may go wrong unheard."""

    def __init__(self, context, study: Study, link: str, expected: str):
        self.context = context
        self.study = study
        self.faults: list[str] = []
        self.expected = expected
        self.posts: list[str] = []
        context.set_default_timeout(10_000)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"error {error.error}"))
        context.on("dialog", self._dialog)
        context.on("request", self._request)
        self.page = context.new_page()
        self.page.goto(link)

    def _console(self, message) -> None:
        if message.type in ("error", "warning") and not re.search(self.expected, message.text):
            self.faults.append(f"console {message.text}")

    def _dialog(self, dialog) -> None:
        self.faults.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, request) -> None:
        if not request.url.startswith(self.study.address + "/"):
            self.faults.append(f"request to {request.url}")
        if request.method == "POST":
            self.posts.append(request.url.removeprefix(self.study.address))

    def ready(self) -> "Person":
        self.page.wait_for_selector(READY)
        return self

    def leave_by(self, act: Callable[[], object]) -> None:
        """Do what leads to the next page, and wait until that listens."""
        self.page.evaluate("document.body.dataset.left = ''")
        act()
        self.ready()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def press_on(self, *keys: str) -> None:
        """Press keys, of which the last one leads to the next page."""
        self.leave_by(lambda: self.press(*keys))

    def click_on(self, role: str, name: str) -> None:
        """Click on what leads to the next page."""
        self.leave_by(self.control(role, name).click)

    def control(self, role: str, name: str):
        return self.page.get_by_role(role, name=name, exact=True)

    def expect(self, locator):
        """Return what waits until something holds of a part of the page."""
        from playwright.sync_api import expect

        return expect(locator)

    def prompt(self) -> str:
        return self.page.locator("#prompt .text, #prompt .turn").first.inner_text().strip()

    def shown(self) -> list[str]:
        """Return the answers as they stand on the page."""
        return [text.strip() for text in self.page.locator(".answer [data-text=rendered]").all_inner_texts()]

    def status(self) -> str:
        return self.page.get_by_role("status").inner_text()

    def heading(self) -> str:
        return self.page.locator("h2").first.inner_text()


@pytest.fixture(scope="session")
def serve(tmp_path_factory) -> Iterator[Serve]:
    """Return a function that serves a study; one of the same name is served once."""
    studies: dict[str, Study] = {}

    def served(name: str, *settings, **more) -> Study:
        if name not in studies:
            studies[name] = Study(tmp_path_factory.mktemp(name), *settings, **more)
        return studies[name]

    yield served
    for study in studies.values():
        study.close()


@pytest.fixture
def visit(chromium) -> Iterator[Visit]:
    """Return a function that opens somebody's browser; none of them may show a fault."""
    people: list[Person] = []

    def enter(
        study: Study, name: str, link: str = "", size=(1280, 900), expected="nothing is to fail", **settings
    ) -> Person:
        width, height = size
        context = chromium.new_context(viewport={"width": width, "height": height}, **settings)
        person = Person(context, study, link or study.link(name), expected)
        people.append(person)
        return person

    yield enter
    for person in people:
        person.context.close()
    faults = [fault for person in people for fault in person.faults]
    assert not faults, faults
