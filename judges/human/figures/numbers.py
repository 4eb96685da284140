"""All figures of a study that the admin view shows, and the protocol of what computes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from judges.human.figures.people_agreement import PeopleAgreement
from judges.human.figures.progress import AnnotatorNumbers, Counts
from judges.human.figures.qualities import SystemQuality
from judges.human.figures.splits import Split
from judges.statistics.correction import HumanCorrectedWinRate
from judges.statistics.raters import RaterAgreement
from judges.statistics.win_rate import WinRate
from rewards.intervals import Resampling
from rewards.records import Prompt, prompt_key, text_hash


@dataclass(frozen=True, slots=True)
class JudgeBeside:
    """A judge's verdicts on two systems beside people's."""

    judge: str
    corrected: HumanCorrectedWinRate | None
    """The judge's win rate corrected by people's verdicts on the measured tasks."""
    why: str
    """Why there is none; empty where there is."""
    shared: int
    """Comparisons that people and the judge both have a verdict on."""
    more_labels: int | None
    """Answers still needed for the wanted half-width, used so; None where nothing tells."""
    agreement: RaterAgreement | None
    """The judge and what most people say, on the measured tasks that both have; None where there is none."""


@dataclass(frozen=True, slots=True)
class SystemsCompared:
    """People's verdicts on two systems, and judges' beside them."""

    first: str
    second: str
    axis: str
    tasks: int
    """Comparisons of these that people are asked about."""
    measured: int
    """Of them, how many the win rate is read from; see `judges.human.figures.measured`."""
    rate: WinRate | None
    """Of `first`; one value a comparison, the mean of its people, and prompts are clusters."""
    why: str
    """Why there is no win rate, or no interval; empty where there are."""
    more_labels: int | None
    """Answers still needed for the wanted half-width, by people alone; None where nothing tells."""
    more_why: str
    """Why not, or what stands in the way; empty where there is nothing to say."""
    judges: tuple[JudgeBeside, ...]


@dataclass(frozen=True, slots=True)
class JudgeWord:
    """A judge's verdict on two texts."""

    judge: str
    better: str | None
    """Digest of the text that it prefers, by `text_digest`; None for a tie."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """All figures of a study; where one does not exist yet, it says why."""

    title: str
    time: float
    """When they were made, seconds since 1970."""
    counts: Counts
    annotators: tuple[AnnotatorNumbers, ...]
    agreement: tuple[PeopleAgreement, ...]
    compared: tuple[SystemsCompared, ...]
    qualities: tuple[SystemQuality, ...]
    splits: tuple[Split, ...]
    """Tasks on which people disagree, most split first."""
    notes: tuple[str, ...]
    """What stands in the way of a figure, in words."""
    width: float
    """Precision half-width."""
    level: float
    judged: bool
    """Whether verdicts of judges are given."""


class NumbersSource(Protocol):
    """Makes the figures, anew only where something has changed."""

    def __call__(self) -> Numbers:
        """Return the figures as they are now, or were a few seconds ago."""
        ...

    def judge_words(self, prompt: Prompt, responses: Sequence[str]) -> Sequence[JudgeWord]:
        """Return the judges' verdicts on a comparison, if there are any."""
        ...


def text_digest(text: str) -> str:
    """Return what a text is known by."""
    return text_hash(text, 12).hex()


def comparison_digest(prompt: Prompt, responses: Sequence[str]) -> str:
    """Return what a comparison is known by, whichever side comes first."""
    return text_digest("\x1d".join([prompt_key(prompt), *sorted(map(text_digest, responses))]))


@dataclass(frozen=True)
class Precision:
    """How intervals are made, and how narrow they are to be."""

    width: float = 0.03
    """Half-width of an interval for which the labels that it takes are computed."""
    level: float = 0.95
    bootstrap: int = 1000
    seed: int = 0

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        return Resampling(self.level, self.bootstrap, self.seed)
