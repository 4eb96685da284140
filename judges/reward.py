"""A reward model as judge: the higher score wins, a margin makes ties, a logit scale gives probabilities."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from judges.asking.session import Session
from judges.judge import Comparison, Judge, Verdict
from judges.recorded import RecordedJudge, fingerprint_files
from rewards.errors import ConfigError, ScoringError, SpecError
from rewards.records import Generation, Prompt, Score
from rewards.scorer import Composite, Scorer, Standardized, load_scorer
from rewards.scorers.rules import Column
from rewards.specs import Spec


@dataclass(frozen=True)
class RewardJudge:
    """Scores both responses and prefers the higher score.

    The preference is sigmoid(s * (first - second)), s being the scorer's `logit_scale`: only a Bradley-Terry
    model's difference of scores is a logit. Other scorers, and aspects, give none. The order in which
    the responses are shown changes nothing.
    """

    scorer: Scorer
    name: str
    """Its name in verdicts."""
    margin: float = 0.0
    """Scores that differ by no more are a tie."""
    axis: str = ""
    """The aspect of the score that decides; empty is the score's value."""
    repeat: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise ConfigError(f"margin is 0 or more, got {self.margin}")

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison, `skipped` where a response cannot be scored.

        Each distinct response to a prompt is scored once.

        Raises:
            ConfigError: The scorer has no such aspect.
        """
        places: dict[tuple[Prompt, str, str], int] = {}
        distinct: list[Generation] = []
        sides = []
        for comparison in comparisons:
            for side in ("first", "second"):
                generation = generation_of(comparison, side)
                columns = json.dumps(generation.extra, sort_keys=True, default=repr)
                place = places.setdefault((generation.prompt, generation.response, columns), len(distinct))
                if place == len(distinct):
                    distinct.append(generation)
                sides.append(place)
        values = [self._value(score) for score in score_each(self.scorer, distinct)]
        return [
            self._verdict(comparison, values[sides[2 * number]], values[sides[2 * number + 1]])
            for number, comparison in enumerate(comparisons)
        ]

    def _value(self, score: Score | str) -> float | str:
        """Return the number that decides, or why there is none."""
        if isinstance(score, str):
            return score
        if self.axis and self.axis not in score.aspects:
            there = ", ".join(score.aspects) or "none"
            raise ConfigError(f"{self.name}: its scores have no aspect {self.axis!r}; they have: {there}")
        value = score.aspects[self.axis] if self.axis else score.value
        return value if math.isfinite(value) else f"the score is {value}"

    def _verdict(self, comparison: Comparison, first: float | str, second: float | str) -> Verdict:
        if isinstance(first, str) or isinstance(second, str):
            wrong = next(value for value in (first, second) if isinstance(value, str))
            return Verdict(comparison, None, None, "skipped", self.name, self.axis, self.repeat, detail=wrong)
        difference = first - second
        tied = abs(difference) <= self.margin
        return Verdict(
            comparison,
            "tie" if tied else "first" if difference > 0 else "second",
            self._preference(difference),
            "",
            self.name,
            self.axis,
            self.repeat,
            reply=json.dumps({"first": first, "second": second}),
        )

    def _preference(self, difference: float) -> float | None:
        if self.axis or not isinstance(self.scorer, Standardized):
            return None
        logit = self.scorer.logit_scale * difference
        # Of the two forms the one whose exponential cannot overflow.
        small = math.exp(-abs(logit))
        return 1 / (1 + small) if logit >= 0 else small / (1 + small)


def generation_of(comparison: Comparison, side: str) -> Generation:
    """Return one side of a comparison with the columns that are its own or shared.

    Args:
        comparison: The comparison.
        side: `first` or `second`; of a column `first_name` the first side has it as `name`.
    """
    other = "second" if side == "first" else "first"
    extra = {
        name.removeprefix(f"{side}_"): value
        for name, value in comparison.extra.items()
        if not name.startswith(f"{other}_")
    }
    return Generation(comparison.prompt, getattr(comparison, side), id=comparison.id, extra=extra)


def score_each(scorer: Scorer, generations: Sequence[Generation]) -> list[Score | str]:
    """Return each generation's score, or the scorer's error for it.

    A scorer refuses a whole call for one generation that it cannot score, so refused calls are halved until
    only those are left.
    """
    if not generations:
        return []
    try:
        return list(scorer.score(generations))
    except ScoringError as error:
        if len(generations) == 1:
            return [str(error)]
    half = len(generations) // 2
    return [*score_each(scorer, generations[:half]), *score_each(scorer, generations[half:])]


def load_reward_judge(spec: Spec, session: Session | None = None) -> Judge:
    """Load `reward:SCORER?margin=0.5&axis=NAME`; with a ledger its verdicts are kept there.

    SCORER is a specification itself; the `?` `&` and `%` in it are percent-encoded, as in
    `reward:rule:length%3Funit=words?margin=3`.

    Raises:
        SpecError: The scorer names nothing, reads what a comparison does not have, or an option is unknown or
            wrong.
    """
    try:
        spec.allow("margin", "axis")
    except SpecError as error:
        raise SpecError(f"{error}; the scorer's own options are percent-encoded, ? as %3F") from None
    if not spec.rest:
        raise SpecError(f"{spec.text}: name a scorer, as in reward:MODEL")
    margin = spec.option("margin", 0.0)
    if not 0 <= margin < math.inf:
        raise SpecError(f"{spec.text}: option margin is 0 or more, got {spec.options['margin']!r}")
    axis = spec.options.get("axis", session.axis if session else "")
    axis = "" if axis == "overall" else axis
    repeat = session.repeat if session else 0
    scorer = load_scorer(spec.rest)
    if _reads_a_column(scorer):
        raise SpecError(
            f"{spec.text}: column:NAME is a score that rows carry, and a comparison is of two responses; "
            "name a model or a rule"
        )
    name = _judge_name(spec)
    judge = RewardJudge(scorer, name, margin, axis, repeat)
    if session is None or not session.config.ledger:
        return judge
    files = [part for part in re.split(r"[:,?&=]", spec.rest) if part]
    return RecordedJudge(judge, session.ledger, name, fingerprint_files(*files), axis, repeat)


def _judge_name(spec: Spec) -> str:
    """Return the specification without the axis, which verdicts hold themselves."""
    body, _, query = spec.text.partition("?")
    options = [pair for pair in query.split("&") if pair and pair.partition("=")[0] != "axis"]
    return f"{body}{'?' if options else ''}{'&'.join(options)}"


def _reads_a_column(scorer: Scorer) -> bool:
    if isinstance(scorer, Composite):
        return any(map(_reads_a_column, scorer.members))
    return isinstance(scorer, Column)
