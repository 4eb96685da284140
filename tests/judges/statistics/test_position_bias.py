import csv
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.statistics.agreement import cohen_kappa
from judges.statistics.position_bias import OrderCounts, order_counts, position_bias, shown_first_rate
from judges.statistics.win_rate import TIE_POLICIES
from rewards.errors import ConfigError
from rewards.intervals import Resampling

LLMBAR = Path(__file__).parents[3] / ".." / "shared" / "data" / "llmbar"

QUICK = Resampling(resamples=30)
nan = np.nan
# One comparison of each kind, and a second where the first position wins twice.
GIVEN = np.array([1, 0, 0.5, 1, 1, 0, 0.5, 1, nan, nan])
SWAPPED = np.array([1, 0, 0.5, 0, 0, 1, 1, nan, 0, nan])

told = st.sampled_from([0.0, 0.2, 0.5, 1.0, nan])
pairs = st.lists(st.tuples(told, told, st.integers(0, 4)), min_size=1, max_size=20)


def test_each_comparison_is_counted_once():
    counts = order_counts(GIVEN, SWAPPED)
    assert counts == OrderCounts(
        comparisons=10,
        first_wins=1,
        second_wins=1,
        ties=1,
        shown_first=2,
        shown_second=1,
        one_tie=1,
        one_order=2,
        missing=1,
    )
    assert counts.consistent == 3


def test_every_policy_by_hand():
    policies = position_bias(GIVEN, SWAPPED, resampling=QUICK).policies
    half, disagree, drop = policies["half"], policies["disagree"], policies["drop"]
    # Sixteen verdicts. First shown: 1 1 0 .5 twice, then 1 + 1, 1 + 1, 0 + 0, .5 + 0, 1, and 1 - 0.
    assert half.win_rate.mean == pytest.approx((2 + 0 + 1 + 1 + 1 + 1 + 1.5 + 1 + 0) / 16)
    assert half.shown_first.mean == pytest.approx((1 + 1 + 1 + 2 + 2 + 0 + 0.5 + 1 + 1) / 16)
    assert half.consistency.mean == pytest.approx((1 + 1 + 1 + 0 + 0 + 0 + 0.5) / 7)
    assert disagree.win_rate.mean == pytest.approx((1 + 0 + 5 * 0.5) / 7)
    assert disagree.shown_first.mean == pytest.approx((3 * 0.5 + 2 + 0 + 0.5) / 7)
    assert disagree.consistency.mean == pytest.approx(3 / 7)
    assert (disagree.win_rate.missing, disagree.left_out) == (3, 0)
    assert drop.win_rate.mean == pytest.approx(1 / 2)
    assert drop.shown_first.mean == pytest.approx(2 / 3)
    assert drop.consistency.mean == pytest.approx(2 / 5)
    assert drop.left_out == 5


def test_probabilities_are_averaged_and_compared():
    soft = position_bias([0.9, 0.6], [0.7, 0.2], resampling=QUICK).policies["preference"]
    assert soft.win_rate.mean == pytest.approx((0.8 + 0.4) / 2)
    assert soft.shown_first.mean == pytest.approx(((0.9 + 0.3) / 2 + (0.6 + 0.8) / 2) / 2)
    assert soft.consistency.mean == pytest.approx(1 - (0.2 + 0.4) / 2)


def test_a_judge_that_takes_the_first_answer_is_found_out():
    bias = position_bias([1] * 40, [0] * 40, resampling=QUICK)
    assert bias.shown_first.mean == 1
    assert bias.shown_first.low > 0.9
    assert bias.consistency.mean == 0
    assert [bias.policies[policy].win_rate.mean for policy in ("half", "disagree", "preference")] == [0.5] * 3
    assert bias.policies["drop"].win_rate is None
    assert bias.policies["drop"].left_out == 40


def test_a_judge_without_bias_is_not_accused():
    generator = np.random.default_rng(3)
    skill = generator.random(600)
    given, swapped = ((generator.random(600) < skill).astype(float) for _ in range(2))
    rate = position_bias(given, swapped, resampling=QUICK).shown_first
    assert rate.low < 0.5 < rate.high


def test_the_two_orders_of_a_comparison_stay_together():
    # Every prompt's first-shown rate is one half exactly: nothing varies between prompts.
    given, swapped = np.tile([1.0, 0.0], 50), np.tile([1.0, 0.0], 50)
    assert position_bias(given, swapped, resampling=QUICK).shown_first.standard_error == 0
    assert position_bias(given, swapped, np.arange(100) // 2, QUICK).shown_first.prompts == 50


@given(pairs)
def test_the_sides_names_change_no_bias_and_mirror_the_win_rate(drawn):
    given, swapped, prompts = (np.array(column) for column in zip(*drawn, strict=True))
    one = position_bias(given, swapped, prompts, QUICK)
    other = position_bias(1 - swapped, 1 - given, prompts, QUICK)
    assert (one.counts.first_wins, one.counts.second_wins) == (
        other.counts.second_wins,
        other.counts.first_wins,
    )
    assert (one.counts.shown_first, one.counts.one_order) == (
        other.counts.shown_first,
        other.counts.one_order,
    )
    for policy in TIE_POLICIES:
        mine, theirs = one.policies[policy], other.policies[policy]
        for name in ("shown_first", "consistency"):
            compare(getattr(mine, name), getattr(theirs, name), lambda value: value)
        compare(mine.win_rate, theirs.win_rate, lambda value: 1 - value)


def compare(mine, theirs, turned):
    assert (mine is None) == (theirs is None)
    if mine is not None:
        assert mine.mean == pytest.approx(turned(theirs.mean))
        assert (mine.n, mine.missing, mine.prompts) == (theirs.n, theirs.missing, theirs.prompts)


@given(pairs)
def test_counts_sum_to_the_comparisons_and_agree_with_the_rates(drawn):
    given, swapped, _ = (np.array(column) for column in zip(*drawn, strict=True))
    bias = position_bias(given, swapped, resampling=QUICK)
    counts = bias.counts
    whole = counts.consistent + counts.shown_first + counts.shown_second + counts.one_tie
    assert whole + counts.one_order + counts.missing == counts.comparisons == len(given)
    if whole:
        assert bias.consistency.mean == pytest.approx(counts.consistent / whole)
        assert bias.consistency.n == whole
    else:
        assert bias.consistency is None


def test_a_single_order_tells_the_position_from_the_side():
    values, swapped = np.array([1, 1, 0, 0.5, nan]), np.array([False, True, True, False, True])
    rate = shown_first_rate(values, swapped, resampling=Resampling(level=0.9, resamples=30, seed=2))
    assert rate.mean == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert (rate.missing, rate.level, rate.resamples, rate.seed) == (1, 0.9, 30, 2)


def test_a_random_order_uncovers_the_bias_of_a_judge_whatever_the_skill():
    generator = np.random.default_rng(4)
    swapped = generator.random(4000) < 0.5
    chance = np.where(swapped, 0.7 - 0.2, 0.7 + 0.2)  # the first side is better, the first position favoured
    rate = shown_first_rate((generator.random(4000) < chance).astype(float), swapped)
    assert rate.low < 0.7 < rate.high


@pytest.mark.parametrize(
    "call",
    [
        lambda: position_bias([1, 0], [1]),
        lambda: position_bias([1, 0], [1, 0], ["a"]),
        lambda: position_bias([2], [1]),
        lambda: shown_first_rate([1, 0], [1, 0]),
        lambda: shown_first_rate([1, 0], [True]),
        lambda: shown_first_rate([nan], [True]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call):
    with pytest.raises(ConfigError):
        call()


@pytest.mark.skipif(not LLMBAR.is_dir(), reason="the LLMBar judgments are not beside the project")
def test_counts_are_those_that_llmbar_published():
    with (LLMBAR / "published_statistics.csv").open() as file:
        published = {key(row): row for row in csv.DictReader(file)}
    judged = defaultdict(list)
    with gzip.open(LLMBAR / "judgments.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            judged[key(row)].append([float(row[name] or "nan") for name in COLUMNS])
    assert len(published) == 130
    assert judged.keys() == published.keys()
    kappas = 0
    for name, expected in published.items():
        label, given, swapped = np.array(judged[name]).T
        right, right_swapped = (np.where(np.isnan(told), nan, told == label) for told in (given, swapped))
        counts = order_counts(right, right_swapped)  # the better answer of each pair is the first side
        assert count(expected["correct_False"]) == (np.nansum(right), counts.comparisons)
        assert count(expected["correct_True"]) == (np.nansum(right_swapped), counts.comparisons)
        assert count(expected["correct_both"]) == (counts.first_wins, counts.comparisons)
        if not counts.one_order + counts.missing:
            agreement = cohen_kappa(given, swapped)
            assert agreement == pytest.approx(float(expected["kappa_agreement"]), abs=1e-9)
            kappas += 1
        # Two verdicts that are both missing are equal in their code.
        assert count(expected["equal"]) == (counts.consistent + counts.missing, counts.comparisons)
    assert kappas == 97  # the others lack a verdict


COLUMNS = ("label", "winner_noswap", "winner_swap")


def key(row):
    return row["subset"], row["evaluator"], row["strategy"]


def count(text):
    """Read `33 / 92 = 35.87%`."""
    right, _, of = text.partition(" = ")[0].partition(" / ")
    return float(right), int(of)


def test_ties_of_a_judge_with_probabilities_are_ties_to_every_policy_that_counts_outcomes():
    outcomes = np.array([0.5, 0.5, 1.0]), np.array([0.5, 1.0, 1.0])
    probabilities = np.array([0.55, 0.6, 0.9]), np.array([0.45, 0.8, 0.7])
    found = position_bias(*outcomes, probabilities=probabilities)
    alone = position_bias(*outcomes)
    assert (found.counts.ties, found.counts.one_tie, found.counts.first_wins) == (1, 1, 1)
    for policy in ("half", "disagree", "drop"):
        assert found.policies[policy] == alone.policies[policy]
    readout = found.policies["preference"]
    assert readout.win_rate.mean == pytest.approx((0.5 + 0.7 + 0.8) / 3)
    assert readout.shown_first.mean == pytest.approx(0.5 + (0.05 - 0.1 + 0.1) / 3)
    assert readout.consistency.mean == pytest.approx(1 - (0.1 + 0.2 + 0.2) / 3)
    with pytest.raises(ConfigError, match="2 probabilities and 3 comparisons"):
        position_bias(*outcomes, probabilities=([0.5, 0.5], [0.5, 0.5]))
