"""Grades of single answers: their rubric, the judge that compares them, and the scorer."""

import re

import pytest

from judges.asking.asker import Questioning
from judges.asking.session import Session
from judges.judge import Comparison, ask_both_orders, load_judge
from judges.questions.reply import Reply
from judges.questions.rubric import Criterion, Rubric
from judges.usage import Usage
from rewards.errors import DataError, MissingFileError, ScoringError, SpecError
from rewards.records import Generation
from rewards.scorer import load_scorer
from tests.judges.scripted_asker import scripted

RUBRIC = """
scale: {low: 0, high: 5}
criteria:
  - {name: correct, description: What it says is true., weight: 3}
  - name: clear & short
    description: Understood at once.
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def rubric(tmp_path):
    path = tmp_path / "rubric.yaml"
    path.write_text(RUBRIC, encoding="utf-8")
    return path


def graded(question):
    """What stands in the answer is its grade."""
    return re.search(r"BEGIN ANSWER>>>\n(.*?)\n<<<", question.messages[-1].content, re.DOTALL)[1]


def judge(monkeypatch, spec="openai:m?mode=pointwise", script=graded, session=None):
    monkeypatch.setattr("judges.pointwise.Asker", scripted(script))
    return load_judge(spec, session or Session.open())


def scorer(monkeypatch, spec="judge:openai:m", script=graded):
    monkeypatch.setattr("judges.pointwise.Asker", scripted(script))
    return load_scorer(spec)


def test_the_better_grade_wins_in_both_orders(monkeypatch):
    pairs = [
        Comparison("p", "[[7]]", "[[3]]"),
        Comparison("p", "[[3]]", "[[7]]"),
        Comparison("p", "[[3]]", "3! [[3]]"),
    ]
    grades = judge(monkeypatch)
    found = ask_both_orders(grades, pairs)
    assert [both.given.winner for both in found] == ["first", "second", "tie"]
    assert [both.swapped.winner for both in found] == ["first", "second", "tie"]
    assert found[0].given.preference is None
    assert found[0].given.judge == "openai:m?mode=pointwise"
    # Three different answers, each graded once.
    assert len(grades.asker.asked) == 3
    assert isinstance(grades, Questioning)


@pytest.mark.parametrize(("margin", "winner"), [(0, "first"), (1.9, "first"), (2, "tie"), (9, "tie")])
def test_a_margin_makes_ties(monkeypatch, margin, winner):
    (verdict,) = judge(monkeypatch, f"openai:m?mode=pointwise&margin={margin}").compare(
        [Comparison("p", "[[7]]", "[[5]]")]
    )
    assert verdict.winner == winner


@pytest.mark.parametrize(
    ("first", "second", "reason", "side"),
    [
        ("[[7]]", "seven", "parse_failed", "the second has no grade"),
        ("[[70]]", "[[5]]", "parse_failed", "the first has no grade"),
        ("[[7]]", "I'm sorry, but no.", "refused", "the second has no grade"),
        ("no", "I cannot do that.", "parse_failed", "the first has no grade"),
    ],
)
def test_a_missing_grade_is_a_missing_verdict(monkeypatch, first, second, reason, side):
    (verdict,) = judge(monkeypatch).compare([Comparison("p", first, second)])
    assert (verdict.winner, verdict.preference, verdict.reason) == (None, None, reason)
    assert side in verdict.detail
    assert first in verdict.reply
    assert second in verdict.reply


def test_a_rubric_weighs_its_criteria(monkeypatch, rubric):
    spec = f"openai:m?mode=pointwise&rubric={rubric}"
    strong = "[[correct: 5]] [[clear & short: 0]]"  # 15 of 20
    neat = "[[correct: 3]] [[clear & short: 5]]"  # 14 of 20
    verdicts = judge(monkeypatch, spec).compare([Comparison("p", strong, neat), Comparison("p", neat, neat)])
    assert [verdict.winner for verdict in verdicts] == ["first", "tie"]
    (question, _) = judge(monkeypatch, spec).questions(Comparison("p", "x", "y"))
    assert (
        "- correct: What it says is true.\n- clear & short: Understood at once."
        in question.messages[0].content
    )
    assert question.messages[1].content.endswith("[[correct: GRADE]]\n[[clear & short: GRADE]]")
    assert "from 0 (worst) to 5 (best)" in question.messages[1].content


def test_a_margin_holds_for_weighted_means_that_floats_cannot_hold(monkeypatch, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("criteria: [{name: a, description: x, weight: 9}, {name: b, description: y, weight: 1}]")
    assert 1.1 - 1.0 > 0.1
    (verdict,) = judge(monkeypatch, f"openai:m?mode=pointwise&margin=0.1&rubric={path}").compare(
        [Comparison("p", "[[a: 1]] [[b: 2]]", "[[a: 1]] [[b: 1]]")]
    )
    assert verdict.winner == "tie"


def test_what_was_asked_once_is_counted_once(monkeypatch):
    def script(question):
        return Reply(graded(question), usage=Usage(10, 0, 2))

    same, other = judge(monkeypatch, script=script).compare(
        [Comparison("p", "[[5]]", "[[5]]"), Comparison("p", "[[5]]", "[[6]]")]
    )
    assert (same.usage.tokens_in, other.usage.tokens_in) == (10, 20)


def test_a_scorer_gives_the_weighted_mean_and_the_criteria_as_aspects(monkeypatch, rubric):
    scores = scorer(monkeypatch, f"judge:openai:m?rubric={rubric}").score(
        [
            Generation("p", "[[correct: 5]] [[clear & short: 0]]"),
            Generation("p", "[[clear & short: 4]] [[correct: 1]]"),
        ]
    )
    assert [score.value for score in scores] == [3.75, 1.75]
    assert scores[0].aspects == {"correct": 5.0, "clear & short": 0.0}
    assert list(scores[1].aspects) == ["correct", "clear & short"]


def test_a_scorer_without_a_rubric_gives_one_grade(monkeypatch):
    scores = scorer(monkeypatch).score(
        [Generation("p", "[[10]]"), Generation("p", "[[1]]"), Generation("p", "[[10]]")]
    )
    assert [score.value for score in scores] == [10.0, 1.0, 10.0]
    assert scores[0].aspects == {}


def test_a_scorer_reads_json_grades_by_criterion(monkeypatch, rubric):
    said = '{"explanation": "x", "grades": {"clear & short": 1, "correct": 5}}'
    (score,) = scorer(monkeypatch, f"judge:openai:m?answer=schema&rubric={rubric}", lambda _: said).score(
        [Generation("p", "r")]
    )
    assert score.value == 4.0


def test_a_generation_without_a_grade_is_named_and_the_rest_is_kept(monkeypatch, tmp_path):
    path = tmp_path / "l.sqlite"
    spec = f"judge:openai:m?ledger={path}"
    rows = [
        Generation("p", "[[3]]", id="a"),
        Generation("p", "no grade", id="b"),
        Generation("p", "[[4]]", id="c"),
    ]
    with pytest.raises(ScoringError, match=r"id 'b': no grade from openai:m: parse_failed: .*1 of 3 failed"):
        scorer(monkeypatch, spec).score(rows)
    again = scorer(monkeypatch, spec, lambda _: Reply("[[9]]"))
    assert [score.value for score in again.score([rows[0], rows[2]])] == [3.0, 4.0]
    assert again.grader.asker.asked == []
    with pytest.raises(ScoringError, match="prompt 'p'"):
        scorer(monkeypatch).score([Generation("p", "none")])


def test_a_reference_is_shown_to_the_grader(monkeypatch):
    graders = scorer(monkeypatch, "judge:openai:m?reference=true", lambda _: "[[5]]")
    graders.score([Generation("p", "r", extra={"reference": "the truth"})])
    asked = graders.grader.asker.asked[0].messages[1].content
    assert re.search(r"BEGIN REFERENCE>>>\nthe truth\n<<<", asked)
    with pytest.raises(DataError, match=r"id 'x'.*reference"):
        graders.score([Generation("p", "r", id="x")])


def test_an_axis_is_graded_by_its_own_words(monkeypatch):
    graders = scorer(monkeypatch, "judge:openai:m?axis=harmless", lambda _: "[[5]]")
    graders.score([Generation("p", "r")])
    assert "harmlessness" in graders.grader.asker.asked[0].messages[0].content


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("judge:reward:x", "judge:openai:MODEL, got 'reward:x'"),
        ("judge:openai", "judge:openai:MODEL, got 'openai'"),
        ("judge:openai:", "judge:openai:MODEL"),
        ("judge:openai:m?mode=pairwise", "mode is for a judge that compares"),
        ("judge:openai:m?margin=1", "margin is for a judge that compares"),
        ("judge:openai:m?logprobs=true", "logprobs is for mode=pairwise"),
        ("judge:openai:m?ties=true", "ties is for mode=pairwise"),
        ("judge:openai:m?answer=letter", "answer with mode=pointwise is text, schema, got 'letter'"),
        ("judge:openai:m?weights=1", "unknown option 'weights'"),
    ],
)
def test_a_scorer_that_makes_no_sense_is_refused(monkeypatch, spec, said):
    with pytest.raises(SpecError, match=said):
        scorer(monkeypatch, spec)


def test_a_judge_that_makes_no_sense_is_refused(monkeypatch, rubric):
    for options, said in (
        ("margin=-1", "margin is 0 or more"),
        ("margin=nan", "margin is 0 or more"),
        (f"rubric={rubric}&axis=honest", "a rubric says itself what is judged; leave out axis 'honest'"),
    ):
        with pytest.raises(SpecError, match=said):
            judge(monkeypatch, f"openai:m?mode=pointwise&{options}")


def test_a_rubric_is_read_with_its_defaults(tmp_path, rubric):
    read = Rubric.load(str(rubric))
    assert read == Rubric(
        (Criterion("correct", "What it says is true.", 3), Criterion("clear & short", "Understood at once.")),
        0,
        5,
    )
    plain = tmp_path / "plain.yaml"
    plain.write_text("criteria: [{name: a, description: b}]")
    assert Rubric.load(str(plain)) == Rubric((Criterion("a", "b", 1.0),), 1, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a rubric is a mapping with criteria, scale, got None"),
        ("- a", r"a rubric is a mapping with criteria, scale, got \['a'\]"),
        ("criteria: [", "not YAML"),
        ("criteria: []\nscale: {low: 1}\ncriteria: [a]", ":3: key 'criteria' stands twice"),
        ("criteria: [{name: a, description: b, name: c}]", ":1: key 'name' stands twice"),
        ("scale: {low: 1}", "a rubric: criteria is missing"),
        ("criteria: []", "got none"),
        ("criteria: {a: b}", "criteria is a list"),
        ("criteria: [{name: a, description: b}]\nweights: 3", "a rubric: 'weights' is unknown"),
        ("criteria: [a]", "criteria, entry 1 is a mapping with name, description, weight, got 'a'"),
        ("criteria: [{name: a}]", "criteria, entry 1: description is missing"),
        (
            "criteria: [{name: a, description: b}, {name: yes, description: b}]",
            "entry 2: name is .* got True",
        ),
        ("criteria: [{name: 'a: b', description: b}]", "entry 1: name is .* got 'a: b'"),
        ("criteria: [{name: 'a]]', description: b}]", r"entry 1: name is .* got 'a\]\]'"),
        ("criteria: [{name: ' a', description: b}]", "entry 1: name is"),
        ("criteria: [{name: a, description: 7}]", "entry 1: description is a text, got 7"),
        ("criteria: [{name: a, description: b, weight: 0}]", "entry 1: weight is a number above 0, got 0"),
        ("criteria: [{name: a, description: b, weight: .nan}]", "weight is a number above 0, got nan"),
        ("criteria: [{name: a, description: b, weight: heavy}]", "weight is a number above 0, got 'heavy'"),
        ("criteria: [{name: a, description: b, wieght: 1}]", "entry 1: 'wieght' is unknown"),
        ("criteria: [{name: a, description: b}, {name: A, description: b}]", "distinct names, got a, A"),
        ("criteria: [{name: a, description: b}]\nscale: 5", "scale is a mapping with low, high, got 5"),
        (
            "criteria: [{name: a, description: b}]\nscale: {low: 1.5}",
            "scale.low is a whole number .* got 1.5",
        ),
        (
            "criteria: [{name: a, description: b}]\nscale: {low: 5, high: 5}",
            "scale.low is below scale.high, got 5 and 5",
        ),
        (
            "criteria: [{name: a, description: b}]\nscale: {max: 5}",
            "scale: 'max' is unknown; known: low, high",
        ),
    ],
)
def test_a_wrong_rubric_is_refused_by_file_and_field(tmp_path, text, said):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        Rubric.load(str(path))
    assert str(caught.value).startswith(str(path))


def test_a_missing_rubric_is_named(monkeypatch):
    with pytest.raises(MissingFileError, match="nowhere"):
        scorer(monkeypatch, "judge:openai:m?rubric=nowhere.yaml")
