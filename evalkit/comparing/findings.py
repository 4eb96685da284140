"""Results of a comparison of policies: rewards, win rates, lengths and pairwise tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np

from evalkit.comparing.samples import UNFINISHED, Floats, Responses
from evalkit.comparing.verdicts import Judged
from judges.statistics.bootstrap import Codes, mean_interval, prompt_totals
from judges.statistics.paired import PairedDifference, holm_corrected, paired_difference
from judges.statistics.win_rate import WinRate, win_rate
from rewards.intervals import Estimate, Resampling

T = TypeVar("T")
Quantity = Literal["win rate", "reward"]


@dataclass(frozen=True, eq=False)
class ComparedPolicy:
    """One policy's responses as columns [n]: by prompt, and then by sample."""

    name: str
    tokens: Floats
    characters: Floats
    unfinished: Floats
    """1 where the response was truncated at its most tokens, else 0."""
    rewards: Mapping[str, Floats]
    """By scorer."""
    wins: Mapping[str, Floats]
    """By scorer and judge, 1 where the response beats the baseline's, 0.5 for a tie, 0 for a loss, NaN where
    a verdict is missing; of the baseline itself, ties."""
    judged: Mapping[str, Judged] = field(default_factory=dict)
    """By judge, what the wins were made of; none for the baseline."""


@dataclass(frozen=True, eq=False)
class Standing:
    """One row of the table."""

    name: str
    rewards: Mapping[str, Estimate]
    """Mean by scorer."""
    win_rates: Mapping[str, WinRate | None]
    """By scorer and judge, against the baseline; None where all verdicts are missing; none of
    the baseline."""
    verdicts: Mapping[str, int]
    """By judge, verdicts there should be."""
    missing: Mapping[str, Mapping[str, int]]
    """By judge, verdicts without a winner by reason."""
    tokens: Estimate
    """Mean length of a response in tokens, EOS included."""
    characters: Estimate
    unfinished: Estimate
    """Share of truncated responses."""


@dataclass(frozen=True, eq=False)
class PolicyPair:
    """Two policies on the same prompts by one scorer or judge."""

    by: str
    quantity: Quantity
    """Win rates against the baseline, or mean rewards."""
    first: str
    second: str
    test: PairedDifference | None
    """Corrected, after Holm, for all pairs by the same and of the same quantity; None where the two have no
    pair for which both have a verdict."""


@dataclass(frozen=True, eq=False)
class ComparisonFindings:
    """All results of a comparison."""

    standings: tuple[Standing, ...]
    """The policies in the order given, then the baseline."""
    pairs: tuple[PolicyPair, ...]
    scorers: tuple[str, ...]
    judges: tuple[str, ...]
    prompts: int
    """Rows of the data."""
    samples: int
    """Responses of each policy to a prompt."""
    level: float

    @property
    def baseline(self) -> str:
        """The baseline's name."""
        return self.standings[-1].name

    @property
    def criteria(self) -> tuple[str, ...]:
        """Scorers, then judges."""
        return (*self.scorers, *self.judges)

    def pair(self, by: str, quantity: Quantity, first: str, second: str) -> PairedDifference | None:
        """Return the test of two policies, None where there is none."""
        for one in self.pairs:
            if (one.by, one.quantity, one.first, one.second) == (by, quantity, first, second):
                return one.test
        return None

    def significant(self, test: PairedDifference | None) -> bool:
        """Return whether a difference is significant after the correction, at one minus the level."""
        return test is not None and test.adjusted <= 1 - self.level


def policies_from(
    everyone: Sequence[Responses],
    rewards: Mapping[str, Mapping[str, Floats]],
    judged: Mapping[str, Mapping[str, Judged]],
) -> list[ComparedPolicy]:
    """Return each policy's columns.

    A response wins by a scorer where its reward is higher than that of the baseline's response of the same
    number; equal rewards, and identical responses whatever the rounding of their rewards, are ties.

    Args:
        everyone: The baseline last.
        rewards: For each scorer and policy [n].
        judged: For each judge and policy but the baseline.
    """
    baseline = everyone[-1]
    theirs = _flat(baseline.texts)
    policies = []
    for one in everyone:
        texts = _flat(one.texts)
        same = np.array([text == other for text, other in zip(texts, theirs, strict=True)])
        wins = {}
        for scorer, by_policy in rewards.items():
            higher = np.sign(by_policy[one.name] - by_policy[baseline.name])
            wins[scorer] = np.where(same, 0.5, (higher + 1) / 2)
        own = {judge: found[one.name] for judge, found in judged.items() if one is not baseline}
        for judge in judged:
            wins[judge] = own[judge].values if own else np.full(len(texts), 0.5)
        policies.append(
            ComparedPolicy(
                one.name,
                np.array(_flat(one.tokens), dtype=np.float64),
                np.array([len(text) for text in texts], dtype=np.float64),
                np.array([reason == UNFINISHED for reason in _flat(one.reasons)], dtype=np.float64),
                {scorer: by_policy[one.name] for scorer, by_policy in rewards.items()},
                wins,
                own,
            )
        )
    return policies


def compare_policies(
    policies: Sequence[ComparedPolicy], prompts: Codes, samples: int, resampling: Resampling
) -> ComparisonFindings:
    """Return the table and the tests.

    Args:
        policies: The baseline last.
        prompts: [n] the same code for responses to the same prompt, which are drawn together.
        samples: Responses of each policy to a prompt.
        resampling: Level, resamples and seed of the intervals.
    """
    scorers = tuple(policies[-1].rewards)
    criteria = tuple(policies[-1].wins)
    pairs: list[PolicyPair] = []
    for by in criteria:
        wins = {one.name: one.wins[by] for one in policies}
        pairs += _tests(by, "win rate", wins, prompts, resampling)
        if by in scorers:
            rewards = {one.name: one.rewards[by] for one in policies}
            pairs += _tests(by, "reward", rewards, prompts, resampling)
    standings = [_standing(one, prompts, resampling, one is policies[-1]) for one in policies]
    judges = tuple(name for name in criteria if name not in scorers)
    rows = len(prompts) // samples
    return ComparisonFindings(
        tuple(standings), tuple(pairs), scorers, judges, rows, samples, resampling.level
    )


def _standing(policy: ComparedPolicy, prompts: Codes, resampling: Resampling, is_baseline: bool) -> Standing:
    rates = {}
    for by, values in policy.wins.items() if not is_baseline else ():
        told = not np.isnan(values).all()
        settings = (resampling.level, resampling.seed, resampling.resamples)
        rates[by] = win_rate(values, prompts, *settings) if told else None
    return Standing(
        policy.name,
        {by: _mean(values, prompts, resampling) for by, values in policy.rewards.items()},
        rates,
        {by: one.verdicts for by, one in policy.judged.items()},
        {by: one.missing for by, one in policy.judged.items()},
        _mean(policy.tokens, prompts, resampling),
        _mean(policy.characters, prompts, resampling),
        _mean(policy.unfinished, prompts, resampling, "logit"),
    )


def _mean(
    values: Floats, prompts: Codes, resampling: Resampling, scale: Literal["logit", "identity"] = "identity"
) -> Estimate:
    """Return a mean with a bootstrap-t interval, as for win rates and differences."""
    totals = prompt_totals(values, prompts)
    interval = mean_interval(totals, resampling, scale)
    low, high = (None, None) if interval is None else interval
    return Estimate(totals.mean, low, high, len(values), totals.prompts, resampling.level)


def _tests(
    by: str, quantity: Quantity, values: Mapping[str, Floats], prompts: Codes, resampling: Resampling
) -> list[PolicyPair]:
    """Test every two policies on the responses for which both have a value."""
    tests: dict[tuple[str, str], PairedDifference | None] = dict.fromkeys(combinations(values, 2))
    for first, second in tests:
        if not np.isnan(values[first] + values[second]).all():
            one, other = values[first], values[second]
            tests[first, second] = paired_difference(one, other, prompts, resampling, (first, second))
    corrected = iter(holm_corrected([test for test in tests.values() if test]))
    return [
        PolicyPair(by, quantity, first, second, next(corrected) if test else None)
        for (first, second), test in tests.items()
    ]


def _flat(lists: Sequence[Sequence[T]]) -> list[T]:
    return [value for one in lists for value in one]
