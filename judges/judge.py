"""Judge, the protocol that compares, its Comparison and Verdict, both orders, and how one is loaded by name.

Everything that decides which of two answers is better is a judge: a language model, a reward model, a jury,
people.

    judge = load_judge("reward:rule:length")
    judge.compare([Comparison("Name a colour.", "Blue.", "Deep blue.")])  # [Verdict(..., "second", ...)]
    ask_both_orders(judge, comparisons)  # against position bias

Any object with a method `compare` is a judge: there is no base class. `docs/extending.md` writes one and
gives it a name for the command line. The protocols below `Judge` are optional; a judge that asks a language
model is also a `judges.asking.asker.Questioning`, so that all its questions can be asked at once.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast, get_args, runtime_checkable

from judges.usage import NO_USAGE, Usage
from rewards.errors import DataError, SpecError
from rewards.records import Message, Prompt, prompt_key
from rewards.specs import Spec, parse_spec

if TYPE_CHECKING:  # a session holds the ledger, which holds what is said here
    from judges.asking.session import Session

Winner = Literal["first", "second", "tie"]
Reason = Literal["parse_failed", "refused", "api_failed", "skipped"]

WINNERS: tuple[str, ...] = get_args(Winner)
REASONS: tuple[str, ...] = get_args(Reason)
"""Why a verdict has no winner: unreadable reply, refusal, no reply at all, or never asked."""

_SIDES = {"first_": "second_", "second_": "first_"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two responses to one prompt, in the order in which a judge is to see them.

    Columns in `extra` about one side are named `first_...` and `second_...` (`first_system`), so that
    `swap` exchanges them with the responses.
    """

    prompt: Prompt
    first: str
    second: str
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        named = f"id {self.id!r}: " if self.id else ""
        plain = isinstance(self.prompt, str)
        if not plain and not (self.prompt and all(isinstance(turn, Message) for turn in self.prompt)):
            raise DataError(f"{named}prompt is a text or a non-empty tuple of Message, got {self.prompt!r}")
        for name in ("first", "second"):
            if not isinstance(getattr(self, name), str):
                raise DataError(f"{named}{name} is a text, got {getattr(self, name)!r}")

    def swap(self) -> "Comparison":
        """Return the comparison with its sides and their columns in `extra` exchanged."""
        return Comparison(self.prompt, self.second, self.first, self.id, _swapped(self.extra))


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's decision on a comparison; without a winner, the reason why.

    `comparison`, `winner` and `preference` are oriented alike. `swapped` says that the judge saw `second`
    before `first`; a judge's own `compare` shows what it is given, so only `ask_both_orders` and
    `ask_one_order` set it.
    """

    comparison: Comparison
    winner: Winner | None
    preference: float | None
    """Probability that `first` is better, in [0, 1]; None where the judge gives none."""
    reason: str = ""
    """One of REASONS where there is no winner; else empty."""
    judge: str = ""
    axis: str = ""
    """The quality that was judged, such as `harmless`; empty is overall."""
    repeat: int = 0
    swapped: bool = False
    detail: str = ""
    """Details of the reason: the fault of the reply, or the endpoint's message."""
    reply: str = ""
    """The judge's raw reply."""
    usage: Usage = NO_USAGE

    def __post_init__(self) -> None:
        named = f"id {self.comparison.id!r}: " if self.comparison.id else ""
        if self.winner is not None and self.winner not in WINNERS:
            raise DataError(f"{named}winner is first, second, tie or None, got {self.winner!r}")
        if (self.winner is None) != (self.reason in REASONS) or (self.winner and self.reason):
            raise DataError(
                f"{named}a verdict has a winner, or a reason among {', '.join(REASONS)}; "
                f"got winner {self.winner!r} and reason {self.reason!r}"
            )
        if self.preference is None:
            return
        number = isinstance(self.preference, int | float) and not isinstance(self.preference, bool)
        if self.winner is None or not number or not 0 <= self.preference <= 1:
            raise DataError(
                f"{named}preference is in [0, 1] and only where there is a winner, got {self.preference!r}"
            )

    def swap(self) -> "Verdict":
        """Return the same verdict with sides exchanged."""
        return replace(
            self,
            comparison=self.comparison.swap(),
            winner=_opposite(self.winner),
            preference=None if self.preference is None else 1 - self.preference,
            swapped=not self.swapped,
        )

    def outcome(self) -> float | None:
        """Return 1 where `first` won, 0.5 for a tie, 0 where `second` won, None where there is no winner."""
        return {"first": 1.0, "tie": 0.5, "second": 0.0, None: None}[self.winner]


class Judge(Protocol):
    """Compares two responses to a prompt."""

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison, in the order asked, `first` shown first.

        A comparison that cannot be decided gets a verdict without a winner and with the reason.
        """
        ...


@runtime_checkable
class Named(Judge, Protocol):
    """A judge with a name, which its verdicts carry; a jury names its members so."""

    @property
    def name(self) -> str:
        """The `judge` of its verdicts."""
        ...


@runtime_checkable
class CompositeJudge(Judge, Protocol):
    """A judge made of judges, such as a jury: its verdicts hold those of its members."""

    @property
    def members(self) -> Sequence[Judge]:
        """The member judges."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The `judge` of each member's verdicts, all different."""
        ...


@runtime_checkable
class AsksPeople(Judge, Protocol):
    """A judge that asks people, who see the sides in random order, so that one order is enough."""

    @property
    def asks_people(self) -> bool:
        """True."""
        ...


class BothOrders(NamedTuple):
    """The two verdicts on one comparison, both oriented as the comparison was given."""

    given: Verdict
    """`first` was shown first."""
    swapped: Verdict
    """`second` was shown first."""


def ask_both_orders(judge: Judge, comparisons: Sequence[Comparison]) -> list[BothOrders]:
    """Ask a judge about each comparison twice, with either side shown first."""
    verdicts = judge.compare([*comparisons, *(comparison.swap() for comparison in comparisons)])
    half = len(comparisons)
    return [
        BothOrders(given, swapped.swap())
        for given, swapped in zip(verdicts[:half], verdicts[half:], strict=True)
    ]


def ask_one_order(judge: Judge, comparisons: Sequence[Comparison], seed: int) -> list[Verdict]:
    """Ask a judge about each comparison once; the seed and the comparison's texts choose its order."""
    turned = [shows_second_first(comparison, seed) for comparison in comparisons]
    verdicts = judge.compare(
        [
            comparison.swap() if turn else comparison
            for comparison, turn in zip(comparisons, turned, strict=True)
        ]
    )
    return [verdict.swap() if turn else verdict for verdict, turn in zip(verdicts, turned, strict=True)]


def shows_second_first(comparison: Comparison, seed: int) -> bool:
    """Say whether a single order shows `second` first.

    It depends on the seed and the texts alone, so that neither other comparisons nor the names of the
    sides decide the order: exchanging the two files leaves every question the same.
    """
    low, high = sorted((comparison.first, comparison.second))
    text = "\x1d".join((str(seed), prompt_key(comparison.prompt), low, high))
    high_first = bool(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] & 1)
    return high_first == (comparison.first == low)


def load_judge(spec: str, session: "Session | None" = None) -> Judge:
    """Load a judge by name: `openai:MODEL`, `reward:SCORER`, `jury:JUDGE,JUDGE`, ...

    Args:
        spec: The judge's specification.
        session: Endpoint, ledger, limits and budget, shared by the judges of a run. None makes one from the
            environment, with a ledger in memory. Options of the specification take precedence.

    Raises:
        SpecError: The specification names no judge.
    """
    loaders = {point.name: point for point in entry_points(group="evalkit.judges")}
    scheme, colon, _ = spec.partition("?")[0].partition(":")
    if not colon or scheme not in loaders:
        known = ", ".join(f"{name}:..." for name in sorted(loaders))
        raise SpecError(f"{spec!r} names no judge; known: {known}")
    loader = cast("Callable[[Spec, Session | None], Judge]", loaders[scheme].load())
    return loader(parse_spec(spec, list(loaders)), session)


def _opposite(winner: Winner | None) -> Winner | None:
    if winner == "first":
        return "second"
    return "first" if winner == "second" else winner


def _swapped(extra: Mapping[str, object]) -> dict[str, object]:
    swapped = {}
    for name, value in extra.items():
        side = next((side for side in _SIDES if name.startswith(side)), None)
        swapped[name if side is None else _SIDES[side] + name.removeprefix(side)] = value
    return swapped
