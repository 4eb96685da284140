"""What a scorer may say of itself: optional protocols, seen by whether the attribute is there."""

from dataclasses import dataclass, field

import pytest

from rewards.records import Score
from rewards.scorer import (
    AspectWeighted,
    Composite,
    Standardized,
    StepScorer,
    Thresholded,
    Truncating,
    load_scorer,
    truncated,
)
from rewards.scorers.ensemble import Ensemble

OPTIONAL = (Standardized, StepScorer, Thresholded, AspectWeighted, Truncating, Composite)


class Plain:
    def score(self, generations):
        return [Score(0.0) for _ in generations]


class Cutting(Plain):
    truncated = 3


@dataclass
class Everything(Plain):
    logit_scale: float = 2.0
    separator: str = "\n"
    threshold: float | None = None
    aspect_weights: dict[str, float] = field(default_factory=dict)
    truncated: int = 0
    members: tuple[Plain, ...] = ()


def test_a_scorer_needs_none_of_them_and_may_have_all():
    assert not any(isinstance(Plain(), protocol) for protocol in OPTIONAL)
    assert all(isinstance(Everything(), protocol) for protocol in OPTIONAL)


@pytest.mark.parametrize(
    ("spec", "protocols"),
    [
        ("rule:length", set()),
        ("column:score", set()),
        ("ensemble:rule:length,rule:random", {Composite}),
        ("testbed:facts", set()),
        ("testbed:arithmetic", set()),
    ],
)
def test_what_our_scorers_say_of_themselves(spec, protocols):
    scorer = load_scorer(spec)
    assert {protocol for protocol in OPTIONAL if isinstance(scorer, protocol)} == protocols


def test_cut_prompts_are_those_of_the_scorer_or_of_its_members_at_any_depth():
    assert truncated(Plain()) == 0
    assert truncated(Cutting()) == 3
    inner = Ensemble((Cutting(), Plain()))
    assert truncated(Ensemble((inner, Cutting()))) == 6
    assert truncated(Ensemble((Plain(),))) == 0
