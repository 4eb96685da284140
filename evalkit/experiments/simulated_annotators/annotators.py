"""Simulated annotators at work over HTTP, a thread each, and the server that they work on."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.experiments.simulated_annotators.browser import Page, PageBrowser
from evalkit.experiments.simulated_annotators.config import Habits
from evalkit.experiments.simulated_annotators.world import PEOPLE, Person, left_is_better

MEDIAN_SECONDS = 8.0
"""Of the time that annotators say they took."""

_OPPOSITE = {"first": "second", "second": "first", "tie": "first"}


@dataclass(frozen=True, slots=True)
class Deed:
    """One act of an annotator, and what the server said of it."""

    annotator: str
    kind: str
    """answer, skip or undo; page where a page was asked for."""
    nonce: str
    prompt: str
    winner: str
    """What was answered, as shown."""
    left: str
    """The answer that was shown on the left."""
    state: str
    """What the server said; on a page its screen."""
    time: float
    """When it was told, seconds since 1970."""
    seconds: float
    """From asking to being told, of the last try."""
    tries: int


@dataclass
class SimulatedAnnotator:
    """One person at work on the page."""

    person: Person
    browser: PageBrowser
    habits: Habits
    deeds: list[Deed] = field(default_factory=list)

    def work(self) -> list[Deed]:
        """Answer until nothing is left or the time is up, and return what was done."""
        end = time.monotonic() + self.habits.seconds if self.habits.seconds else float("inf")
        pace = random.Random(f"{self.habits.seed} {self.person.name} pace")
        self.browser.sign_in()
        while time.monotonic() < end:
            page = self._look()
            if page.data["screen"] == "rest":
                if not page.waiting:
                    break
                time.sleep(0.2)
                continue
            if self.habits.think:
                time.sleep(pace.expovariate(1 / self.habits.think))
            self._answer(page)
        self.browser.close()
        return self.deeds

    def _look(self) -> Page:
        page = self.browser.page()
        self._note("page", "", page, "", str(page.data["screen"]))
        return page

    def _answer(self, page: Page) -> None:
        # What somebody says depends on nothing but who they are and what they see.
        left, right = page.answers
        chance = random.Random(f"{self.habits.seed} {self.person.name} {page.prompt} {left}")
        better, kind = left_is_better(left, right)
        winner = self.person.says(better, kind, chance)
        if winner is not None and chance.random() < self.habits.undo:
            self._post("answer", page, _OPPOSITE[winner], chance)
            self._undo(page)
            page = self._look()
        self._post("skip" if winner is None else "answer", page, winner or "", chance)

    def _post(self, kind: str, page: Page, winner: str, chance: random.Random) -> None:
        said = {
            "handle": page.data["handle"],
            "nonce": new_nonce(),
            "answer": {"winner": winner} if winner else None,
            "comment": "",
            "seconds": round(chance.lognormvariate(0.0, 0.5) * MEDIAN_SECONDS, 3),
        }
        self._note(kind, str(said["nonce"]), page, winner, self.browser.post(kind, said))

    def _undo(self, page: Page) -> None:
        nonce = new_nonce()
        self._note("undo", nonce, page, "", self.browser.post("undo", {"nonce": nonce}))

    def _note(self, kind: str, nonce: str, page: Page, winner: str, state: str) -> None:
        left = page.answers[0] if page.answers else ""
        deed = (self.person.name, kind, nonce, page.prompt, winner, left, state)
        self.deeds.append(Deed(*deed, time.time(), self.browser.seconds, self.browser.tries))


def new_nonce() -> str:
    """Return a name for one act."""
    return f"{random.SystemRandom().getrandbits(96):024x}"


def read_links(path: Path) -> dict[str, str]:
    """Return the personal links by name, as `evalkit annotate --links` wrote them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: link for name, _, link in (line.partition("\t") for line in lines)}


@contextmanager
def annotation_server(options: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run `evalkit annotate` as a process of its own from when its page is there; killed with the block.

    Raises:
        RuntimeError: It ended without serving.
    """
    command = [sys.executable, "-m", "evalkit.cli", "annotate", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "Ctrl-C stops it" in line:
                    break
            else:
                raise RuntimeError(f"{' '.join(command)}: ended with {process.wait()}")
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Return a port of this machine at which nobody listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def at_work(links: Mapping[str, str], people: Sequence[Person], habits: Habits) -> Iterator[Deed]:
    """Let people work at once, each in a thread of their own, and yield what they did."""
    with ThreadPoolExecutor(len(people)) as pool:
        annotators = [
            SimulatedAnnotator(person, PageBrowser(links[person.name], habits.patience), habits)
            for person in people
        ]
        for deeds in list(pool.map(SimulatedAnnotator.work, annotators)):
            yield from deeds


def crowd(names: Sequence[str]) -> list[Person]:
    """Return as many people as there are names, who err as those of the world do in turn."""
    kinds = [PEOPLE[number % len(PEOPLE)] for number in range(len(names))]
    return [
        Person(name, kind.right, kind.lean, kind.tie, kind.skip)
        for name, kind in zip(names, kinds, strict=True)
    ]
