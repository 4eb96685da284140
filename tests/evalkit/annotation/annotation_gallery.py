"""Studies that several files of browser tests share."""

from collections.abc import Iterator, Sequence

from judges.human.tasks import SCREENS, Task
from tests.evalkit.annotation.browser import Person, Serve, Study

PAIRS = [
    {"id": f"pair-{n}", "prompt": f"Question {n}", "first": f"copper {n}", "second": f"zinc {n}"}
    | {"first_system": "system-alpha", "second_system": "system-beta"}
    for n in range(3)
]


def pairs(serve: Serve) -> Study:
    """Comparisons that each person is asked."""
    return serve("pairs", rows=PAIRS)


def choose(person: Person, wanted: str) -> str:
    """Say by key that the answer which begins with this word is better; return the task's id."""
    task = f"pair-{person.prompt().removeprefix('Question ')}"
    person.press_on("1" if person.shown()[0].startswith(wanted) else "2")
    return task


def tasks(texts: Sequence[str], aspects=("wrong", "+good"), axis: str = "") -> list[Task]:
    """A task of each screen, whose answers are these texts (two, or more)."""
    made = []
    for screen in SCREENS:
        count = {"pairwise": 2, "steps": 1, "spans": 1}.get(screen, len(texts))
        responses = ("".join(texts),) if count == 1 else tuple(texts[:count])
        steps = tuple(texts) if screen == "steps" else ()
        marked = tuple(aspects) if screen == "spans" else ()
        made.append(Task(screen, f"{screen}: {texts[0]}", responses, steps, marked, axis=axis, id=screen))
    return made


def screen_of(person: Person) -> str:
    return person.page.locator("body").get_attribute("class").removeprefix("screen-")


def screens(person: Person) -> Iterator[str]:
    """Go from screen to screen by skipping; yield the name of each while it is there."""
    for _ in SCREENS:
        yield screen_of(person.ready())
        person.press_on("s")
    yield screen_of(person)
