"""Pictures of the annotation page and of a study's figures, taken in Chromium."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from evalkit.annotation.annotate import QUESTIONS
from evalkit.experiments.annotation_screens.config import AnnotationScreens
from evalkit.experiments.annotation_screens.examples import EXAMPLES, INSTRUCTIONS
from evalkit.experiments.simulated_annotators.world import PEOPLE, SYSTEMS, pairs
from evalkit.runs.terminal import say
from judges.human.answers import PairwiseAnswer, as_payload, as_shown
from judges.human.labels import Annotator, Posted
from judges.human.store import Store
from judges.human.study import Study
from judges.human.tasks import Screen, Task
from judges.human.web.reach import sign_in_link
from rewards.errors import MissingExtraError, MissingFileError

if TYPE_CHECKING:  # needs the extra `dev`
    from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["light", "dark"]

LAPTOP, PHONE = (1440, 900), (390, 844)
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars")
ASKED = 60
"""Comparisons of the study whose figures are shown."""
ANSWERED = (48, 41, 30)
"""By person."""

_numbers = count()


def run(config: AnnotationScreens) -> None:
    """Take the pictures, and say where they are."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise MissingExtraError("playwright", "dev") from None
    chromium = shutil.which("chromium")
    if chromium is None:
        raise MissingFileError("chromium: not on the PATH; install it, as by apt-get install chromium")
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, TemporaryDirectory() as work:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        figure(browser, Path(work), out / "annotate.png")
        if config.all:
            every_screen(browser, Path(work), out)
            study_pages(browser, Path(work), out)
        browser.close()
    say(f"Results are in {out}")


def figure(browser: "Browser", work: Path, path: Path) -> None:
    """Write the picture of a comparison on a laptop beside the same on a phone."""
    shots = []
    with served(work, "pairwise") as (link, _):
        for size in ((1280, 844), PHONE):
            with opened(browser, link, size) as page:
                page.locator("#instructions summary").click()
                shots.append(page.screenshot(animations="disabled"))
    _beside(browser, shots, path)


def _beside(browser: "Browser", shots: list[bytes], path: Path) -> None:
    from base64 import b64encode

    images = "".join(f'<img src="data:image/png;base64,{b64encode(shot).decode()}">' for shot in shots)
    page = browser.new_page(viewport={"width": 1790, "height": 908})
    page.set_content(
        "<style>body { margin: 32px; display: flex; gap: 32px; background: #dfe3e6 }"
        f"img {{ border-radius: 12px; box-shadow: 0 4px 24px #0004 }}</style>{images}"
    )
    page.screenshot(path=path)
    page.close()


def every_screen(browser: "Browser", work: Path, out: Path) -> None:
    """Write each screen, partly answered, on a laptop, on a phone, and in the dark."""
    for screen in EXAMPLES:
        with served(work, screen) as (link, _):
            for name, size in (("laptop", LAPTOP), ("phone", PHONE)):
                with opened(browser, link, size) as page:
                    page.screenshot(path=out / f"{screen}-{name}.png")
                    page.screenshot(path=out / f"{screen}-{name}-whole.png", full_page=True)
            with opened(browser, link, LAPTOP, "dark") as page:
                page.screenshot(path=out / f"{screen}-dark.png")
                page.keyboard.press("s")
                page.get_by_text("All done").wait_for()
                page.screenshot(path=out / f"{screen}-done.png")


def study_pages(browser: "Browser", work: Path, out: Path) -> None:
    """Write the pages for whoever runs a study: its figures, and what people disagree on."""
    with served(work, None) as (_, admin):
        views: tuple[tuple[str, tuple[int, int], Scheme], ...] = (
            ("laptop", LAPTOP, "light"), ("phone", PHONE, "light"), ("dark", LAPTOP, "dark"),
        )  # fmt: skip
        for name, size, scheme in views:
            context = browser.new_context(viewport=_viewport(size), color_scheme=scheme)
            page = context.new_page()
            page.goto(admin)
            page.screenshot(path=out / f"admin-{name}.png", full_page=True)
            page.get_by_role("link", name="Disagreements").click()
            page.screenshot(path=out / f"disagreements-{name}.png")
            context.close()


@contextmanager
def opened(
    browser: "Browser", link: str, size: tuple[int, int], scheme: Scheme = "light"
) -> Iterator["Page"]:
    """Open a personal link in a browser of its own."""
    phone = size == PHONE
    context = browser.new_context(
        viewport=_viewport(size),
        color_scheme=scheme,
        has_touch=phone,
        is_mobile=phone,
    )
    page = context.new_page()
    page.goto(link)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()


def _viewport(size: tuple[int, int]) -> "ViewportSize":
    return {"width": size[0], "height": size[1]}


@contextmanager
def served(work: Path, screen: Screen | None) -> Iterator[tuple[str, str]]:
    """Serve an example, or with None a study under way; give an annotator's link and the admin's."""
    path = work / f"{next(_numbers)}.db"
    with Store(str(path)) as store:
        token = begin_study(store) if screen is None else begin_example(store, screen)
    command = [sys.executable, "-m", "evalkit.cli", "annotate", "--db", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = ""
        while "Ctrl-C stops it" not in told:
            told += (line := process.stdout.readline())
            if not line:
                raise RuntimeError(f"{' '.join(command)}: ended with {process.wait()}")
        admin = re.search(r"\S+/admin/sign-in/\S+", told)
        address = re.search(r"The page is at (\S+);", told)
        assert admin is not None
        assert address is not None
        yield sign_in_link(address[1], 1, token), admin[0]
        process.kill()


def begin_example(store: Store, screen: Screen) -> str:
    """Put a screen's example into a store, as a person has begun it; return that person's token."""
    task, answer = EXAMPLES[screen]
    store.set_study(Study(title=QUESTIONS[screen], instructions=INSTRUCTIONS, overlap=2))
    store.add_tasks([task])
    invited = store.invite("Robin")
    assert invited.token is not None
    given = store.next_task(invited.annotator)
    if given is not None and answer is not None:
        shown = as_payload(as_shown(answer, given.shown))
        store.record(invited.annotator, given.handle, Posted("draft", "begun", shown, "", 42.0))
    return invited.token


def begin_study(store: Store) -> str:
    """Let simulated people answer a part of a made-up study; return the first one's token."""
    chance = random.Random(0)
    world = {one.id: one for one in pairs(0, ASKED)}
    store.set_study(Study(title="Copper or zinc: which answer helps more?", overlap=3, gold_every=5))
    store.add_tasks(
        Task(
            "pairwise", one.prompt, one.answers, systems=SYSTEMS, id=one.id, gold=_known(n, one.first_better)
        )
        for n, one in enumerate(world.values())
    )
    tokens = []
    for person, answers in zip(PEOPLE, ANSWERED, strict=True):
        invited = store.invite(person.name)
        tokens.append(invited.token or "")
        for _ in range(answers):
            given = store.next_task(invited.annotator)
            if given is None:
                break
            pair = world[given.task.id]
            left_is_better = pair.first_better == (given.shown[0] == 0)
            winner = person.says(left_is_better, pair.kind, chance)
            _post(store, invited.annotator, given.handle, winner, chance)
    return tokens[0]


def _known(number: int, first_better: bool) -> PairwiseAnswer | None:
    return PairwiseAnswer("first" if first_better else "second") if number % 6 == 0 else None


def _post(store: Store, annotator: Annotator, handle: str, winner: str | None, chance: random.Random) -> None:
    kind, answer = ("skip", None) if winner is None else ("answer", {"winner": winner})
    seconds = round(chance.lognormvariate(3, 0.5), 1)
    store.record(annotator, handle, Posted(kind, f"act-{next(_numbers)}", answer, "", seconds))  # type: ignore[arg-type]
