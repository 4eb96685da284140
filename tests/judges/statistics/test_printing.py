"""How statistics print: their figures in words, their tables as data frames, names shown as they are."""

import re

import numpy as np
import pytest

from judges.statistics.agreement import agreement
from judges.statistics.bradley_terry import bradley_terry
from judges.statistics.correction import human_corrected_win_rate
from judges.statistics.elo import elo
from judges.statistics.length_control import length_controlled_win_rate
from judges.statistics.paired import paired_difference, rank_systems
from judges.statistics.position_bias import position_bias
from judges.statistics.strength_ranks import rank_strengths
from judges.statistics.style import style_controlled
from judges.statistics.win_rate import win_rate

RNG = np.random.default_rng(0)
WON = RNG.integers(0, 2, 80).astype(float)
PROMPTS = np.repeat(np.arange(40), 2)


def test_a_win_rate_says_its_interval_and_its_sizes():
    rate = win_rate([1, 1, 0, 0.5, np.nan, 1], prompts=[1, 1, 2, 2, 3, 3])
    assert (
        str(rate) == f"win rate 0.700 ({rate.low:.3f} to {rate.high:.3f}), 5 verdicts of 3 prompts, 1 missing"
    )
    assert str(win_rate([1.0])) == "win rate 1.000, 1 verdict of 1 prompt"
    assert rate._repr_html_() == f"<p>{rate}</p>"


def test_strengths_are_a_table_the_strongest_first():
    first = ["<b>a</b>", "b", "b", "c", "c", "<b>a</b>"]
    second = ["b", "<b>a</b>", "c", "b", "<b>a</b>", "c"]
    fit = bradley_terry(first, second, [1, 0, 1, 0.5, 0.5, 1])
    frame = fit.to_frame()
    assert list(frame.columns) == ["system", "strength", "standard_error", "low", "high"]
    assert frame["system"].tolist()[0] == "<b>a</b>"
    assert frame["strength"].is_monotonic_decreasing
    assert frame["strength"].sum() == pytest.approx(0)
    assert dict(zip(frame["system"], frame["strength"], strict=True)) == pytest.approx(
        dict(zip(fit.systems, fit.strengths, strict=True))
    )
    lines = str(fit).splitlines()
    assert lines[0] == (
        "Bradley-Terry strengths of 3 systems (natural log, mean 0, 95 % intervals), 6 verdicts of 6 prompts"
    )
    assert lines[1].split() == ["system", "strength", "standard_error", "low", "high"]
    assert len(lines) == 5
    assert "<b>" not in fit._repr_html_()
    assert "&lt;b&gt;a&lt;/b&gt;" in fit._repr_html_()


def test_elo_is_a_table_too():
    rated = elo(["a", "a"], ["b", "b"], [1, 1])
    assert rated.to_frame()["system"].tolist() == ["a", "b"]
    assert str(rated).startswith("Elo ratings of 2 systems, 2 games, 100 shuffled orders\n")


def test_agreement_says_which_coefficient():
    told = agreement([["x", "y", "x", "y"], ["x", "y", "y", "y"]], "percent")
    assert re.fullmatch(r"percent \(nominal\) 0\.750 \(.* to .*\), 4 items of 4 prompts", str(told))
    assert "undefined" in str(agreement([["x", "x"], ["x", "x"]]))


def test_a_corrected_win_rate_stands_beside_both_that_it_is_made_of():
    human = WON[:40]
    corrected = human_corrected_win_rate(WON, human, np.where(RNG.random(40) < 0.8, human, 1 - human))
    first, second = str(corrected).splitlines()
    assert first.startswith(f"win rate {corrected.mean:.3f} (")
    assert "corrected by 40 human verdicts of 40 prompts" in first
    assert second.startswith(
        f"model alone {WON.mean():.3f} of 80 verdicts, people alone {human.mean():.3f} ("
    )


def test_a_length_controlled_rate_stands_beside_the_plain_one():
    told = str(length_controlled_win_rate(WON, RNG.normal(size=80), PROMPTS))
    assert told.splitlines()[0].startswith("win rate at equal length 0.")
    assert f"uncontrolled: {win_rate(WON, PROMPTS)}" in told


def test_a_difference_names_its_systems_and_its_test():
    told = paired_difference(WON, 1 - WON, PROMPTS, names=("new", "old"))
    assert re.fullmatch(r"new - old: -?\d\.\d{3} \(.* to .*\), p \d\.\d{4}, 80 rows of 40 prompts", str(told))


def test_position_bias_has_a_row_for_each_tie_policy():
    bias = position_bias([1, 1, 0, 0.5], [1, 0, 0, 0.5])
    frame = bias.to_frame()
    assert frame["ties"].tolist() == ["half", "disagree", "drop", "preference"]
    assert frame["win_rate"].tolist()[:2] == pytest.approx([0.5, 0.5])
    assert str(bias).splitlines()[0] == "4 comparisons, 3 consistent"


def test_rankings_are_tables_of_places_the_best_first():
    by_mean = rank_systems(np.stack([1 - WON, np.ones(80)]), ["low", "high"], PROMPTS)
    assert by_mean.to_frame()["system"].tolist() == ["high", "low"]
    assert str(by_mean).splitlines()[0] == "2 systems, 1 pair, of which 1 differ at 0.05"
    by_strength = rank_strengths(["b", "a"], [-1, 1], 0.01 * np.array([[1, -1], [-1, 1]]), 100)
    assert by_strength.to_frame()["system"].tolist() == ["a", "b"]
    assert str(by_strength).splitlines()[0] == "2 systems, 1 pair, of which 1 differ at 0.05"


def test_strengths_at_equal_style_say_what_style_is_worth():
    first = np.where(RNG.random(80) < 0.5, "a", "b")
    fit = style_controlled(first, np.where(first == "a", "b", "a"), WON, {"length": RNG.normal(size=80)})
    lines = str(fit).splitlines()
    assert lines[0].startswith("strengths of 2 systems at equal style")
    assert re.fullmatch(r"length: -?\d\.\d{3} \(.* to .*\)", lines[1])
    assert fit.to_frame()["strength"].is_monotonic_decreasing
