"""A panel of judges: loaded from their specifications, asked side by side, and what that would cost."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import unquote

from judges.asking.asker import Questioning
from judges.asking.plan import make_plan
from judges.asking.session import Session
from judges.human.judge import HumanJudge
from judges.judge import Comparison, Judge, load_judge
from judges.questions.question import Question
from rewards.errors import ConfigError


def load_judges(spec: str, session: Session, axes: Sequence[str], repeats: int) -> list[Judge]:
    """Load a judge once for each axis and each repetition.

    Raises:
        ConfigError: The specification sets one of the two itself.
    """
    for option, asked in (("axis", bool(axes)), ("repeat", repeats > 1)):
        if asked and f"{option}=" in unquote(spec):
            raise ConfigError(f"{spec}: sets {option}, and so does the command; leave out one of them")
    return [
        load_judge(spec, replace(session, axis=axis, repeat=repeat)) for axis, repeat in rounds(axes, repeats)
    ]


def rounds(axes: Sequence[str], repeats: int) -> list[tuple[str, int]]:
    """Return the axis and the number of each time that everything is asked."""
    return list(itertools.product(axes or [""], range(repeats)))


def questioning(judges: Iterable[Judge]) -> Iterator[Questioning]:
    """Yield the judges that are asked over the network, those of a jury among them."""
    for judge in judges:
        yield from questioning(getattr(judge, "members", ()))
        if isinstance(judge, Questioning):
            yield judge


def people_asked(judges: Iterable[Judge]) -> Iterator[HumanJudge]:
    """Yield the judges that are people, those of a jury among them."""
    for judge in judges:
        yield from people_asked(getattr(judge, "members", ()))
        if isinstance(judge, HumanJudge):
            yield judge


def asks_people(judge: Judge) -> bool:
    """Say whether a judge asks people, who need no second order."""
    return bool(getattr(judge, "asks_people", False))


def questions(judge: Questioning, shown: Iterable[Comparison]) -> Iterator[Question]:
    """Yield everything that a judge asks about comparisons."""
    return itertools.chain.from_iterable(map(judge.questions, shown))


def plan_lines(
    session: Session, judges: Sequence[Judge], shown: Callable[[], Iterable[Comparison]], batch: bool = False
) -> list[str]:
    """Say what a run would ask over the network, what it would cost and how long it would take."""
    asked = list(questioning(judges))
    if not asked and any(people_asked(judges)):
        count = sum(1 for _ in shown()) * len(judges)
        return [f"{count:,} comparisons would be put to people, but for those that are there already."]
    if not asked:
        return ["This judge runs here: nothing is asked over the network, and nothing costs."]
    every = itertools.chain.from_iterable(questions(judge, shown()) for judge in asked)
    return make_plan(session, every, batch).lines() or ["There is nothing to ask."]
