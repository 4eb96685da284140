import math
from collections import Counter

import pytest

from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.judge import Comparison, ask_both_orders, load_judge
from judges.recorded import RecordedJudge, fingerprint_files
from judges.reward import RewardJudge, generation_of, score_each
from rewards.errors import ConfigError, ScoringError, SpecError
from rewards.records import Generation, Message, Score


class Scorer:
    """Scores a response by the number that it spells, and counts what it is asked."""

    def __init__(self, aspects=False):
        self.asked = Counter()
        self.aspects = aspects

    def score(self, generations):
        for one in generations:
            if one.response == "odd":
                raise ScoringError(f"row {one.id}: no score")
        self.asked.update(one.response for one in generations)
        found = [float(one.response) for one in generations]
        return [Score(value, aspects={"kind": -value} if self.aspects else {}) for value in found]


class Logits(Scorer):
    logit_scale = 2.0


def comparison(first, second, number="1", **extra):
    return Comparison("Which?", str(first), str(second), number, extra)


def test_the_higher_score_wins_and_a_margin_makes_ties():
    judge = RewardJudge(Scorer(), "reward:numbers", margin=0.5)
    pairs = [(2, 1), (1, 2), (1, 1.5), (1, 1.75), (1, 1)]
    verdicts = judge.compare([comparison(*pair) for pair in pairs])
    assert [one.winner for one in verdicts] == ["first", "second", "tie", "second", "tie"]
    assert {one.preference for one in verdicts} == {None}  # these scores are no logits
    assert verdicts[0].reply == '{"first": 2.0, "second": 1.0}'
    (exact,) = RewardJudge(Scorer(), "x").compare([comparison(1, 1)])
    assert exact.winner == "tie"


@pytest.mark.parametrize(("first", "second"), [(1.0, 0.0), (0.0, 1.5), (3.0, 3.0), (0.0, 2000.0), (9e9, 0.0)])
def test_a_logit_scale_gives_probabilities(first, second):
    (found,) = RewardJudge(Logits(), "x").compare([comparison(first, second)])
    (other,) = RewardJudge(Logits(), "x").compare([comparison(second, first)])
    expected = 1 / (1 + math.exp(min(700, -2.0 * (first - second))))
    assert found.preference == pytest.approx(expected, abs=1e-12)
    assert found.preference + other.preference == pytest.approx(1)


def test_an_aspect_decides_where_one_is_asked_for():
    judge = RewardJudge(Scorer(aspects=True), "x", axis="kind")
    (found,) = judge.compare([comparison(2, 1)])
    assert (found.winner, found.axis, found.preference) == ("second", "kind", None)
    with pytest.raises(ConfigError, match="no aspect 'harmless'; they have: kind"):
        RewardJudge(Scorer(aspects=True), "x", axis="harmless").compare([comparison(2, 1)])
    with pytest.raises(ConfigError, match="they have: none"):
        RewardJudge(Scorer(), "x", axis="harmless").compare([comparison(2, 1)])


def test_each_distinct_response_is_scored_once():
    scorer = Scorer()
    judge = RewardJudge(scorer, "x")
    both = ask_both_orders(judge, [comparison(1, 2), comparison(1, 3), comparison(2, 3)])
    assert scorer.asked == {"1": 1, "2": 1, "3": 1}
    for given, swapped in both:
        assert given.winner == swapped.winner == "second"
        assert swapped.swapped


def test_a_row_that_cannot_be_scored_is_skipped_and_the_others_are_not():
    rows = [comparison(place, place + 1, str(place)) for place in range(9)]
    rows[3] = comparison("odd", 1, "three")
    rows[7] = comparison(1, "odd", "seven")
    verdicts = RewardJudge(Scorer(), "x").compare(rows)
    assert [place for place, one in enumerate(verdicts) if one.winner is None] == [3, 7]
    assert (verdicts[3].reason, verdicts[3].detail) == ("skipped", "row three: no score")
    assert [one.winner for place, one in enumerate(verdicts) if place not in (3, 7)] == ["second"] * 7
    (infinite,) = RewardJudge(Scorer(), "x").compare([comparison("inf", 1)])
    assert (infinite.reason, infinite.detail) == ("skipped", "the score is inf")


def test_scores_come_in_the_order_asked():
    generations = [Generation("p", "odd" if place % 3 == 0 else str(place)) for place in range(11)]
    found = score_each(Scorer(), generations)
    assert [isinstance(one, str) for one in found] == [place % 3 == 0 for place in range(11)]
    assert [one.value for one in found if isinstance(one, Score)] == [1, 2, 4, 5, 7, 8, 10]
    assert score_each(Scorer(), []) == []


def test_a_side_has_its_own_columns_and_the_shared_ones():
    one = comparison("4", "5", answer="4", first_system="ours", second_system="theirs")
    assert generation_of(one, "first").extra == {"answer": "4", "system": "ours"}
    assert generation_of(one, "second").extra == {"answer": "4", "system": "theirs"}
    (found,) = load_judge("reward:rule:exact").compare([one])
    assert found.winner == "first"


def test_load_with_a_margin_and_a_scorer_s_own_options():
    judge = load_judge("reward:rule:length%3Funit=words?margin=1")
    said = [("a b c", "a"), ("a b", "a"), ("a", "a b c")]
    verdicts = judge.compare([comparison(*pair) for pair in said])
    assert [one.winner for one in verdicts] == ["first", "tie", "second"]
    assert verdicts[0].judge == "reward:rule:length%3Funit=words?margin=1"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("reward:column:score", "a comparison is of two responses"),
        ("reward:ensemble:rule:length,column:score", "a comparison is of two responses"),
        ("reward:", "name a scorer"),
        ("reward:rule:nothing", "nothing"),
        ("reward:rule:length?unit=words", "percent-encoded"),
        ("reward:rule:length?margin=-1", "margin is 0 or more, got '-1'"),
        ("reward:rule:length?margin=much", "margin is a number"),
        ("reward:rule:length?margin=nan", "margin is 0 or more, got 'nan'"),
    ],
)
def test_a_reward_judge_that_cannot_be(spec, told):
    with pytest.raises(SpecError, match=told):
        load_judge(spec)


@pytest.fixture
def session(tmp_path):
    opened = Session.open(AskingConfig(ledger=str(tmp_path / "ledger.sqlite")))
    yield opened
    opened.ledger.close()


def recorded(session, scorer, fingerprint="files:1", **settings):
    inner = RewardJudge(scorer, "reward:numbers", axis=settings.get("axis", ""))
    return RecordedJudge(inner, session.ledger, "reward:numbers", fingerprint, **settings)


def test_what_the_ledger_holds_is_not_computed_again(session):
    scorer, rows = Logits(), [comparison(1, 2), comparison(3, 2), comparison(1, 1), comparison(1, 2)]
    first = recorded(session, scorer).compare(rows)
    assert session.ledger.counts() == {"ok": 3}  # one row came twice
    fresh = Logits()
    again = recorded(session, fresh).compare(rows)
    assert again == first == recorded(session, scorer).judge.compare(rows)
    assert not fresh.asked
    recorded(session, fresh).compare([*rows, comparison(7, 8)])
    assert set(fresh.asked) == {"7", "8"}


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "files:2"},
        {"repeat": 1},
        {"rows": [comparison(2, 1)]},
        {"rows": [comparison(1, 2, answer="2")]},
        {"rows": [Comparison((Message("user", "Which?"),), "1", "2")]},
    ],
)
def test_another_model_order_or_row_is_another_question(session, change):
    recorded(session, Scorer()).compare([comparison(1, 2)])
    fresh, rows = Scorer(), change.pop("rows", [comparison(1, 2)])
    recorded(session, fresh, **change).compare(rows)
    assert fresh.asked


def test_a_skipped_row_is_recorded_and_never_reused(session):
    rows = [comparison("odd", 1), comparison(2, 1)]
    for turn in (1, 2):
        skipped, fine = recorded(session, Scorer()).compare(rows)
        assert (skipped.reason, skipped.detail) == ("skipped", "row 1: no score")
        assert fine.winner == "first"
        assert session.ledger.counts() == {"ok": 1, "skipped": turn}


def test_a_run_with_a_ledger_keeps_the_verdicts_there(session):
    judge = load_judge("reward:rule:length", session)
    rows = [comparison("long", "it"), comparison("a", "b")]
    assert [one.winner for one in judge.compare(rows)] == ["first", "tie"]
    assert session.ledger.counts() == {"ok": 2}
    assert isinstance(load_judge("reward:rule:length", Session.open()), RewardJudge)


def test_a_retrained_model_has_another_fingerprint(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    weights = folder / "weights"
    weights.write_bytes(b"1234")
    before = fingerprint_files(str(folder))
    assert fingerprint_files(str(folder)) == before
    weights.write_bytes(b"12345")
    assert fingerprint_files(str(folder)) != before
    assert fingerprint_files("some/hub-id") == fingerprint_files("some/hub-id")
    assert fingerprint_files("some/hub-id") != fingerprint_files("other/hub-id")
    assert fingerprint_files("a", "b") != fingerprint_files("ab")
