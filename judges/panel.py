"""A panel of judges: many comparisons, one ledger and budget, and the cost in advance."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote

from judges.asking.asker import Asker, Questioning
from judges.asking.batch import run_batches
from judges.asking.plan import make_plan
from judges.asking.session import Session
from judges.asking.tally import Tally
from judges.human.judge import HumanJudge
from judges.judge import (
    AsksPeople,
    Comparison,
    CompositeJudge,
    Judge,
    Named,
    Verdict,
    load_judge,
    shows_second_first,
)
from judges.jury import Jury
from judges.questions.question import Question
from judges.verdicts.annotation import order_known
from judges.verdicts.members import member_verdicts, members_in
from rewards.errors import ConfigError
from rewards.progress import Progress, progress

Order = Literal["both", "one", "given"]

CHUNK = 256
"""Comparisons whose verdicts are looked up together."""

IDENTICAL = "identical responses, nobody asked"
"""Detail of a tie that no judge was asked for."""


def load_judges(spec: str, session: Session, axes: Sequence[str] = (), repeats: int = 1) -> list[Judge]:
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
    """Return axis and number of each repetition, in the order of `load_judges`."""
    return list(itertools.product(axes or [""], range(repeats)))


@dataclass(frozen=True)
class Panel:
    """Judges that are asked about the same comparisons.

    ```python
    session = Session.open(AskingConfig(ledger="replies.sqlite", budget=5))
    panel = Panel(session, load_judges("openai:gpt-4.1-mini", session))
    print(*panel.plan_lines(comparisons))
    panel.ask(comparisons)
    verdicts = list(panel.verdicts(comparisons))
    ```

    Each method reads the comparisons anew, some of them several times: give a list, or an iterable that
    begins again, and no iterator. Only a few comparisons are held in memory at a time.

    Raises:
        ConfigError: There is not one judge for each axis and repetition.
    """

    session: Session
    """Ledger, limits and budget of all judges."""
    judges: Sequence[Judge]
    """As `load_judges` returns them, one for each axis and repetition."""
    order: Order = "both"
    """Ask with either side shown first, in one seeded order, or with `first` always first. People are asked
    once, whatever this says, each with the sides in an order of their own."""
    seed: int = 0
    """Seed of a single order."""
    ask_identical: bool = False
    """Ask about identical responses too, which else are a tie."""
    axes: Sequence[str] = ()
    """Qualities judged, as given to `load_judges`."""
    repeats: int = 1

    def __post_init__(self) -> None:
        needed = len(rounds(self.axes, self.repeats))
        if len(self.judges) != needed:
            raise ConfigError(
                f"axes={list(self.axes)} and repeats={self.repeats} need {needed} judges, "
                f"one for each axis and repetition, got {len(self.judges)}; "
                "give the axes and repeats that load_judges was given"
            )

    def shown(self, comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
        """Yield each comparison that is asked, in each of its orders, as a judge sees it."""
        for comparison in comparisons:
            if not self._settled(comparison):
                yield from (comparison.swap() if turned else comparison for turned in self._turns(comparison))

    def plan_lines(self, comparisons: Iterable[Comparison], batch: bool = False) -> list[str]:
        """Return the planned calls, their cost and their duration, as lines of text.

        Raises:
            ConfigError: The comparisons can be read only once.
        """
        _check_repeatable(comparisons)
        asked = self._questioning()
        if not asked and any(people_asked(self.judges)):
            count = sum(1 for _ in self.shown(comparisons)) * len(self.judges)
            return [f"{count:,} comparisons would be put to people, but for those that are there already."]
        if not asked:
            return ["This judge runs here: nothing is asked over the network, and nothing costs."]
        every = itertools.chain.from_iterable(self._questions(judge, comparisons) for judge in asked)
        return make_plan(self.session, every, batch).lines() or ["There is nothing to ask."]

    def ask(
        self,
        comparisons: Iterable[Comparison],
        batch: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Get all answers into the ledger, as fast as the limits allow; `verdicts` then only looks them up.

        Judges that ask no endpoint are passed over.

        Args:
            comparisons: The comparisons.
            batch: Whether to ask by the Batch API.
            tell: Called with a line on each event of a batch.

        Raises:
            ConfigError: A batch is asked for, of judges that ask no endpoint; or the comparisons can be read
                only once.
            EndpointError: The endpoint cannot be asked as configured, or not at all.
        """
        _check_repeatable(comparisons)
        asked = self._questioning()
        if batch and not asked:
            raise ConfigError("--batch is for judges that are asked over the network, such as openai:MODEL")
        if batch:
            for judge in asked:
                asker, every = judge.asker, self._questions(judge, comparisons)
                tell(run_batches(asker.session, asker.model, every, asker.base_url, tell=tell).line())
        elif asked:
            with progress("asking", unit="questions") as bar:
                for judge in asked:
                    judge.asker.progress = _Meter(bar, self.session).show
                    judge.asker.ask(self._questions(judge, comparisons))
        for judge in asked:
            judge.asker.finished = True

    def verdicts(self, comparisons: Iterable[Comparison]) -> Iterator[Verdict]:
        """Yield every judge's verdicts on each comparison, oriented as the comparison was given.

        Behind a jury's verdict stand those of its members, and so, too, behind that of several people.
        """
        rest = iter(comparisons)
        while chunk := list(itertools.islice(rest, CHUNK)):
            shown = list(self.shown(chunk))
            answers = [iter(judge.compare(shown)) for judge in self.judges]
            for comparison in chunk:
                for judge, verdicts, (axis, repeat) in zip(
                    self.judges, answers, rounds(self.axes, self.repeats), strict=True
                ):
                    for turned in self._turns(comparison):
                        if self._settled(comparison):
                            yield from _ties(comparison, judge, axis, repeat, turned)
                            continue
                        verdict = next(verdicts)
                        again = turned and self._order() == "both"
                        yield from _with_members(judge, verdict.swap() if turned else verdict, again)

    @property
    def askers(self) -> list[Asker]:
        """The askers of judges behind an endpoint."""
        return [judge.asker for judge in self._questioning()]

    @property
    def databases(self) -> list[str]:
        """Names of the stores of labels of the people among the judges."""
        return list(dict.fromkeys(judge.store.name for judge in people_asked(self.judges)))

    def _order(self) -> Order:
        return "given" if all(map(asks_people, self.judges)) else self.order

    def _settled(self, comparison: Comparison) -> bool:
        return comparison.first == comparison.second and not self.ask_identical

    def _turns(self, comparison: Comparison) -> tuple[bool, ...]:
        """Return, for each time a comparison is asked, whether its second response is shown first."""
        order = self._order()
        if order == "both":
            return (False, True)
        return (order == "one" and shows_second_first(comparison, self.seed),)

    def _questioning(self) -> list[Questioning]:
        return list(questioning(self.judges))

    def _questions(self, judge: Questioning, comparisons: Iterable[Comparison]) -> Iterator[Question]:
        return itertools.chain.from_iterable(map(judge.questions, self.shown(comparisons)))


def questioning(judges: Iterable[Judge]) -> Iterator[Questioning]:
    """Yield the judges that are asked over the network, those of a jury among them."""
    for judge in judges:
        if isinstance(judge, CompositeJudge):
            yield from questioning(judge.members)
        if isinstance(judge, Questioning):
            yield judge


def people_asked(judges: Iterable[Judge]) -> Iterator[HumanJudge]:
    """Yield the judges that are people, those of a jury among them."""
    for judge in judges:
        if isinstance(judge, CompositeJudge):
            yield from people_asked(judge.members)
        if isinstance(judge, HumanJudge):
            yield judge


def asks_people(judge: Judge) -> bool:
    """Say whether a judge asks people, who need no second order."""
    return isinstance(judge, AsksPeople) and judge.asks_people


def spending_lines(session: Session, askers: Sequence[Asker]) -> Iterator[str]:
    """Return the calls made and their cost, as lines of text; none if no endpoint was asked."""
    if not askers:
        return
    tallies = [asker.tally for asker in askers]
    known, calls = sum(tally.from_ledger for tally in tallies), sum(tally.calls for tally in tallies)
    sent = sum(tally.usage.tokens_in for tally in tallies)
    received = sum(tally.usage.tokens_out for tally in tallies)
    if calls:
        priced = any(tally.usage.cost is not None for tally in tallies)
        cost = _money(session) if priced else "price not known"
        yield f"{calls:,} calls, {sent:,} tokens sent and {received:,} received, {cost}"
    elif session.spending.spent:
        yield f"{_money(session)} by batch"
    before = f"{known:,} answers were there before; " if known else ""
    yield f"{before}all replies are kept in {session.ledger.path}"


def _check_repeatable(comparisons: Iterable[Comparison]) -> None:
    if iter(comparisons) is comparisons:
        raise ConfigError("comparisons are read several times: give a list, no iterator that ends after one")


def _money(session: Session) -> str:
    return f"{session.spending.spent:.4f} {session.prices.currency}"


class _Meter:
    """Shows the progress of an asker: answers, calls and their cost."""

    def __init__(self, bar: Progress, session: Session) -> None:
        self._bar, self._session, self._done = bar, session, 0

    def show(self, tally: Tally) -> None:
        """Show a tally, in place of the one before."""
        before, self._done = self._done, tally.from_ledger + tally.received
        failed = tally.received - tally.states["ok"]
        words = [
            f"{tally.states['ok']:,} answered",
            f"{failed:,} failed",
            f"{tally.from_ledger:,} known before",
            f"{tally.in_flight} in flight",
            f"{tally.calls_per_second():.0f} calls/s",
            *([_money(self._session)] if self._session.spending.spent else []),
            *(["stopping"] if tally.stopping else []),
        ]
        self._bar.advance(self._done - before, ", ".join(words))


def _ties(comparison: Comparison, judge: Judge, axis: str, repeat: int, turned: bool) -> Iterator[Verdict]:
    """Yield a tie in place of each verdict to be asked for, so that all prompts weigh alike."""
    own = judge.name if isinstance(judge, Named) else ""
    for name in (own, *(judge.names if isinstance(judge, CompositeJudge) else ())):
        yield Verdict(comparison, "tie", None, "", name, axis, repeat, turned, detail=IDENTICAL)


def _with_members(judge: Judge, verdict: Verdict, again: bool) -> Iterator[Verdict]:
    """Yield a verdict, and behind a jury's those of its members; so, too, of several people.

    Args:
        judge: Whose verdict it is.
        verdict: Oriented as the comparison was given.
        again: Whether it is the second order's; people, who are asked once, stand behind the first one's.
    """
    yield verdict
    if isinstance(judge, Jury) or (isinstance(judge, HumanJudge) and not judge.annotator):
        for member in member_verdicts(verdict):
            if order_known(member):
                yield member
            elif not again:
                yield member
                yield from member_verdicts(member) if members_in(member) else ()
