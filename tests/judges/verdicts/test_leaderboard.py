"""Leaderboards and win rates of verdicts that are read from a file, without a command."""

import json

import pytest

from judges.verdicts.groups import read_verdict_tables
from judges.verdicts.leaderboard import RankOptions, leaderboards
from judges.verdicts.win_rate_findings import WinRateOptions, win_rate_findings
from rewards.errors import ConfigError
from rewards.intervals import Resampling

FEW = Resampling(resamples=50)


@pytest.fixture
def table(tmp_path):
    winners = ["first", "first", "first", "second", "first", "tie", "second", "first"]
    told = {
        "first": "long answer",
        "second": "answer",
        "first_system": "a",
        "second_system": "b",
        "judge": "j",
    }
    rows = [{"prompt": f"question {place}", "winner": one} | told for place, one in enumerate(winners)]
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_verdict_tables(str(path))


def test_a_leaderboard_of_a_table_of_verdicts(table):
    (board,), unranked = leaderboards(table, RankOptions(FEW))
    # 5 wins, 2 losses and a tie: a rate of 5.5 / 8, whose logit is the difference in strength.
    assert [place.system for place in board.ranks.places] == ["a", "b"]
    assert board.judge == "j"
    assert not unranked
    assert board.pair_rates[0, 1] == pytest.approx(5.5 / 8)
    assert board.fit.difference("a", "b").value == pytest.approx(0.7884573603642702)


def test_style_that_was_not_read_is_refused(table):
    with pytest.raises(ConfigError, match="read with style_of"):
        leaderboards(table, RankOptions(FEW, style=["length"]))


@pytest.mark.parametrize(("ties", "rate", "left_out"), [("half", 5.5 / 8, 0), ("drop", 5 / 7, 1)])
def test_win_rates_of_a_table_of_verdicts(table, ties, rate, left_out):
    (found,) = win_rate_findings(table, how=WinRateOptions(ties, FEW))
    assert (found.first, found.second, found.judge) == ("a", "b", "j")
    assert found.win_rate.mean == pytest.approx(rate)
    assert found.left_out == left_out
    assert found.human is None


def test_a_baseline_turns_the_verdicts(table):
    (found,) = win_rate_findings(table, "a", how=WinRateOptions("half", FEW))
    assert (found.first, found.win_rate.mean) == ("b", pytest.approx(2.5 / 8))
