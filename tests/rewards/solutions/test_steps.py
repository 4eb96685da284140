"""Steps of a solution: cut and joined again on any text, aggregated by hand, the first error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, ScoringError
from rewards.solutions.steps import (
    AGGREGATIONS,
    aggregate,
    aggregate_log_odds,
    first_error,
    probabilities,
    split_steps,
    terminated,
)

TEXTS = st.text(alphabet="ab \n\tки😀", max_size=30)


@given(TEXTS, st.sampled_from(["\n", "\n\n", " ки", "b"]))
def test_steps_join_to_the_response_and_each_ends_in_the_separator(response, separator):
    steps = split_steps(response, separator)
    assert "".join(steps) == response
    assert all(steps)
    assert all(separator in step for step in steps[:-1])
    assert all(step.endswith(separator) for step in terminated(steps, separator))
    # What carries the separator at its end is left as it is, so that doing it twice changes nothing.
    assert terminated(terminated(steps, separator), separator) == terminated(steps, separator)


def test_cuts_by_hand():
    assert split_steps("a\nb\nc", "\n") == ("a\n", "b\n", "c")
    assert split_steps("a\nb\n", "\n") == ("a\n", "b\n")
    assert split_steps("a\n  ", "\n") == ("a\n  ",)  # white space alone is no step of its own
    assert split_steps("  ", "\n") == ("  ",)
    assert split_steps("", "\n") == ()
    assert split_steps("\n", "\n") == ("\n",)
    for cut in (split_steps, terminated):
        with pytest.raises(ConfigError, match="a text that is not empty"):
            cut("a", "")


def test_aggregates_by_hand():
    steps = [0.5, 0.8, 0.25]
    assert aggregate(steps, "product") == pytest.approx(0.1)
    assert aggregate(steps, "min") == 0.25
    assert aggregate(steps, "mean") == pytest.approx(1.55 / 3)
    assert aggregate(steps, "last") == 0.25
    assert aggregate(steps, "sum_logits") == pytest.approx(math.log(1) + math.log(4) - math.log(3))
    assert [aggregate([1.0, 0.0], how) for how in ("product", "min", "mean", "last")] == [0, 0, 0.5, 0]
    assert aggregate([1.0, 0.5], "sum_logits") == math.inf


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=12), st.sampled_from(AGGREGATIONS))
def test_log_odds_lose_nothing_and_overflow_nowhere(log_odds, how):
    p = probabilities(log_odds)
    assert ((p >= 0) & (p <= 1)).all()
    found = aggregate_log_odds(log_odds, how)
    expected = {
        "product": float(np.prod(p)),
        "min": float(p.min()),
        "mean": float(p.mean()),
        "last": float(p[-1]),
        "sum_logits": math.fsum(log_odds),
    }[how]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("steps", "how", "error"),
    [
        ([], "product", ScoringError),
        ([1.1], "product", ScoringError),
        ([math.nan], "min", ScoringError),
        ([[0.5]], "min", ScoringError),
        ([0.0, 1.0], "sum_logits", ScoringError),
        ([0.5], "median", ConfigError),
    ],
)
def test_what_has_no_aggregate_is_refused(steps, how, error):
    with pytest.raises(error):
        aggregate(steps, how)


def test_the_first_error_is_the_first_step_below_the_threshold():
    assert first_error([0.9, 0.4, 0.1], 0.5) == 1
    assert first_error([0.5, 0.6], 0.5) == -1
    assert first_error([], 0.5) == -1
    assert first_error([0.9, 0.9], 0.95) == 0
