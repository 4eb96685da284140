"""A panel of judges: plans, asks and decides about comparisons, with a ledger and without any command."""

import pytest

from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.asking.tally import Tally
from judges.judge import Comparison
from judges.panel import IDENTICAL, Panel, _Meter, load_judges, spending_lines
from judges.questions.question import Attempt
from rewards.errors import ConfigError
from tests.judges.scripted_asker import scripted

PAIRS = [Comparison("p", "long answer", "short", "1"), Comparison("q", "same", "same", "2")]


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr("judges.llm.Asker", scripted(lambda _: "[[A]]"))
    opened = Session.open(AskingConfig(ledger=str(tmp_path / "replies.sqlite")))
    with opened.ledger:
        yield opened


def test_a_panel_plans_asks_and_decides(session):
    panel = Panel(session, load_judges("openai:m", session))
    assert "2 calls" in " ".join(panel.plan_lines(PAIRS))
    panel.ask(PAIRS)
    (asker,) = panel.askers
    assert len(asker.asked) == 2  # both orders of the first; nobody is asked about copies
    verdicts = list(panel.verdicts(PAIRS))
    # Whoever is shown first wins, so that both orders together say nothing.
    assert [(one.comparison.id, one.winner, one.swapped) for one in verdicts] == [
        ("1", "first", False), ("1", "second", True), ("2", "tie", False), ("2", "tie", True),
    ]  # fmt: skip
    assert [one.detail == IDENTICAL for one in verdicts] == [False, False, True, True]
    assert len(asker.asked) == 2  # all were looked up
    assert any("all replies are kept in" in line for line in spending_lines(session, panel.askers))


def test_axes_and_repeats_are_judges_of_their_own(session):
    judges = load_judges("openai:m", session, ["helpful", "honest"], 2)
    panel = Panel(session, judges, "given", axes=["helpful", "honest"], repeats=2)
    told = [(one.axis, one.repeat, one.winner) for one in panel.verdicts(PAIRS[:1])]
    assert told == [(axis, repeat, "first") for axis in ("helpful", "honest") for repeat in (0, 1)]


@pytest.mark.parametrize(
    "options", [{}, {"axes": ["helpful"]}, {"axes": ["helpful", "honest"], "repeats": 2}]
)
def test_judges_that_fit_no_axes_and_repeats_are_refused_before_anything_is_asked(session, options):
    judges = load_judges("openai:m", session, ["helpful", "honest"])
    with pytest.raises(ConfigError, match="one for each axis and repetition, got 2"):
        Panel(session, judges, **options)


def test_copies_are_asked_about_on_request(session):
    panel = Panel(session, load_judges("openai:m", session), "given", ask_identical=True)
    assert [one.winner for one in panel.verdicts(PAIRS)] == ["first", "first"]
    assert [one.first for one in panel.shown(PAIRS)] == ["long answer", "same"]


def test_an_iterator_that_ends_after_one_pass_is_refused(session):
    panel = Panel(session, load_judges("openai:m", session))
    for method in (panel.plan_lines, panel.ask):
        with pytest.raises(ConfigError, match="give a list"):
            method(iter(PAIRS))


class Bar:
    done, note = 0, ""

    def advance(self, number, note):
        self.done, self.note = self.done + number, note


def test_the_meter_tells_answers_calls_and_money(session):
    tally, bar = Tally(from_ledger=3, in_flight=2), Bar()
    meter = _Meter(bar, session)
    tally.record([Attempt("a", "ok", {"winner": "first"}), Attempt("b", "refused")])
    meter.show(tally)
    meter.show(tally)
    assert bar.done == 5
    assert session.spending.reserve(0.25)
    session.spending.settle(0.25, 0.25)
    meter.show(tally)
    assert bar.note.startswith("1 answered, 1 failed, 3 known before, 2 in flight, 0 calls/s, 0.2500")
