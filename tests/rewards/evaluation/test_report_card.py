import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.evaluation.report_card import (
    ScoredRanking,
    against_baselines,
    by_margin,
    by_source,
    pair_accuracy,
    report_card,
    section_means,
)
from rewards.intervals import Resampling

SETTINGS = Resampling(resamples=100)
NAN = float("nan")

# Scores on a grid, so that shifting them adds no rounding and makes ties.
scored_pairs = st.lists(
    st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(0, 5)), min_size=1, max_size=40
)


def accuracy(chosen, rejected, prompts):
    return pair_accuracy(chosen, rejected, prompts, SETTINGS)


def pair(prompt, chosen, rejected, lengths=(1, 1), **fields):
    return ScoredRanking(prompt, (chosen, rejected), (1, 2), lengths, fields.pop("features", {}), **fields)


def test_a_tie_is_wrong_and_counted():
    result = accuracy([2, 1, 1, 3], [1, 1, 2, 0], list("abcd"))
    assert (result.accuracy.mean, result.ties, result.missing) == (0.5, 1, 0)


def test_missing_scores_are_left_out_counted_and_bounded():
    result = accuracy([2, NAN, 1, 3], [1, 1, NAN, 4], list("abcd"))
    assert (result.accuracy.mean, result.accuracy.n, result.missing) == (0.5, 2, 2)
    assert (result.if_missing_wrong, result.if_missing_right) == (0.25, 0.75)
    with pytest.raises(ConfigError, match="none of 1"):
        accuracy([NAN], [1.0], ["a"])


@given(scored_pairs)
def test_swapping_the_sides_leaves_what_is_neither_right_nor_tied(rows):
    chosen, rejected, prompts = (np.array(column) for column in zip(*rows, strict=True))
    forward, backward = accuracy(chosen, rejected, prompts), accuracy(rejected, chosen, prompts)
    assert forward.ties == backward.ties
    assert backward.accuracy.mean == pytest.approx(1 - forward.accuracy.mean - forward.ties / len(rows))


@given(scored_pairs, st.integers(-9, 9), st.randoms(use_true_random=False))
def test_shifting_scores_and_permuting_rows_changes_nothing(rows, shift, random):
    def card(of_rows, added=0):
        pairs = [
            pair(str(prompt), chosen + added, rejected + added, (prompt, 3), source=str(prompt % 2))
            for chosen, rejected, prompt in of_rows
        ]
        return report_card(pairs, 1.0, 5, SETTINGS)

    first = card(rows)
    shifted, permuted = card(rows, shift), card(random.sample(rows, len(rows)))
    for other in (shifted, permuted):
        assert other.pairs == first.pairs
        assert other.baselines == first.baselines
        assert other.by_source == first.by_source
        assert other.by_margin == first.by_margin
        assert other.length_accuracy == first.length_accuracy
        assert other.calibration.error == pytest.approx(first.calibration.error)


def test_the_lead_over_a_baseline_is_paired():
    right, longer = np.array([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 0, 0, 0])
    best, worse, worst = against_baselines(
        right, {"longer": longer, "random": np.full(6, 0.5), "never": np.zeros(6)}, np.arange(6), SETTINGS
    )
    assert [best.name, worse.name, worst.name] == ["random", "longer", "never"]
    assert worse.advantage.mean == pytest.approx(1 / 6)
    # A baseline that is right on the same pairs leaves no doubt about the difference.
    same = against_baselines(right, {"same": right}, np.arange(6), SETTINGS)[0].advantage
    assert (same.mean, same.low, same.high) == (0, None, None)


def test_the_baselines_of_a_card_by_hand():
    rows = [
        pair("a", 1, 0, (10, 5), features={"items": (0, 2), "blind": (1, 0)}),
        pair("b", 1, 0, (10, 5), features={"items": (3, 2), "blind": (0, 0)}),
        pair("c", 0, 1, (5, 5), features={"items": (1, 0)}),
        pair("d", 0, 1, (4, 5), features={"items": (0, 0)}),
    ]
    card = report_card(rows, 1.0, 10, SETTINGS)
    found = {baseline.name: baseline.accuracy.mean for baseline in card.baselines}
    # A feature that not all rows have is no baseline.
    assert found == {"longer": 0.5, "shorter": 0.25, "random": 0.5, "items": 0.5}
    assert card.rankings is None
    assert (card.rows, card.prompts, card.by_source) == (4, 4, ())


def test_a_ranking_counts_by_its_untied_pairs():
    row = ScoredRanking("a", (3.0, 1.0, 2.0, 0.0), (1, 2, 2, 3), (1, 1, 1, 1), {})
    wrong = pair("b", 0.0, 1.0)
    card = report_card([row, wrong], 1.0, 10, SETTINGS)
    assert (card.pairs.accuracy.n, card.pairs.accuracy.mean) == (6, pytest.approx(5 / 6))
    assert (card.rankings.top_1.n, card.rankings.top_1.mean) == (2, 0.5)


def test_a_missing_score_takes_its_pairs_out_of_everything():
    rows = [pair("a", 1, 0), pair("b", NAN, 0), ScoredRanking("c", (1.0, 0.0, NAN), (1, 2, 3), (3, 2, 1), {})]
    card = report_card(rows, 1.0, 10, SETTINGS)
    assert (card.pairs.missing, card.pairs.accuracy.n, card.calibration.n) == (3, 2, 2)
    assert all(baseline.accuracy.n == 2 for baseline in card.baselines)
    assert card.rankings.missing == 2


def test_the_logit_scale_goes_into_the_probability_and_nothing_else():
    rows = [pair(str(number), number % 5, 2.5, (number, 9)) for number in range(20)]
    one, two = (report_card(rows, scale, 10, SETTINGS) for scale in (1.0, 2.0))
    assert one.pairs == two.pairs
    assert two.calibration.temperature.value == (
        None if one.calibration.temperature.value is None else 2 * one.calibration.temperature.value
    )
    assert two.calibration.log_loss == pytest.approx(
        np.mean(np.logaddexp(0, [-2 * (number % 5 - 2.5) for number in range(20)]))
    )


def test_groups_are_those_of_the_source():
    groups = by_source([1, 0, 1, 1], ["web", "code", "web", "code"], list("abcd"), SETTINGS)
    assert [(group.name, group.accuracy.mean, group.accuracy.n) for group in groups] == [
        ("code", 0.5, 2),
        ("web", 1.0, 2),
    ]


def test_margins_are_cut_at_quantiles_and_equal_ones_stay_together():
    groups = by_margin(np.arange(8) >= 4, np.arange(8.0), np.arange(8), SETTINGS)
    assert [(group.low, group.high, group.accuracy.mean) for group in groups] == [
        (0, 1, 0),
        (2, 3, 0),
        (4, 5, 1),
        (6, 7, 1),
    ]
    tied = by_margin([1, 0, 1, 1, 1], [2, 2, 2, 2, 9], np.arange(5), SETTINGS)
    assert [(group.low, group.accuracy.n) for group in tied] == [(2, 4), (9, 1)]
    tied_above = by_margin([1, 0, 1, 1, 1], [1, 9, 9, 9, 9], np.arange(5), SETTINGS)
    assert [(group.low, group.accuracy.n) for group in tied_above] == [(1, 1), (9, 4)]
    assert len(by_margin([1, 0], [3, 3], ["a", "b"], SETTINGS)) == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_groups_partition_the_pairs(rows):
    right, labels = zip(*rows, strict=True)
    for groups in (by_source(right, labels, labels, SETTINGS), by_margin(right, labels, labels, SETTINGS)):
        assert sum(group.accuracy.n for group in groups) == len(rows)
        assert sum(group.accuracy.n * group.accuracy.mean for group in groups) == pytest.approx(sum(right))


def test_margins_of_the_data_are_used_where_they_say_something():
    given_margins = [pair("a", 1, 0, margin=2.0), pair("b", 4, 0, margin=0.5)]
    assert report_card(given_margins, 1.0, 10, SETTINGS).margin == "margin"
    none = [pair("a", 1, 0, margin=0.0), pair("b", 4, 0, margin=0.0)]
    card = report_card(none, 1.0, 10, SETTINGS)
    assert card.margin == "score difference"
    assert [(group.low, group.high) for group in card.by_margin] == [(1, 1), (4, 4)]


def test_a_section_is_weighted_by_counts():
    accuracies = {"code": 0.5, "math": 1.0, "chat": 0.25}
    counts = {"code": 984, "math": 984, "chat": 8}
    sections = {"Reasoning": ["code", "math"], "Chat": ["chat"], "Both": ["math", "chat"]}
    means = section_means(accuracies, counts, sections)
    assert means == {"Reasoning": 0.75, "Chat": 0.25, "Both": pytest.approx((984 + 2) / 992)}
    with pytest.raises(ConfigError, match=r"'Chat Hard'.*llmbar"):
        section_means(accuracies, counts, {"Chat Hard": ["llmbar"]})


def test_rewardbench_sections_are_the_share_of_right_rows():
    # The published chat section of beaver-7b-cost is 218 of these 358 rows.
    counts = {"easy": 100, "length": 95, "hard": 95, "mt-easy": 28, "mt-med": 40}
    right = {"easy": 70, "length": 60, "hard": 50, "mt-easy": 18, "mt-med": 20}
    accuracies = {source: right[source] / counts[source] for source in counts}
    assert section_means(accuracies, counts, {"Chat": list(counts)})["Chat"] == pytest.approx(0.6089385475)


def test_no_rows_have_no_card():
    with pytest.raises(ConfigError, match="none of 0"):
        report_card([], 1.0, 10, SETTINGS)
