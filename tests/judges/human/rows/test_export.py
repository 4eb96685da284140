import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.human.answers import (
    BestAnswer,
    PairwiseAnswer,
    RankingAnswer,
    SpansAnswer,
    StepsAnswer,
    check_answer,
)
from judges.human.labels import Label
from judges.human.rows.export import (
    label_verdicts,
    preference_rows,
    ranking_rows,
    rating_rows,
    span_label_rows,
    step_label_rows,
)
from judges.human.rows.importing import read_labels
from judges.human.rows.label_rows import label_of, label_row
from judges.human.tasks import Task, comparison_task
from judges.judge import Comparison, Verdict
from judges.verdicts.annotation import ORDER
from judges.verdicts.reading import verdict_row
from rewards.errors import DataError
from rewards.files import Row, preference, ranking, span_labels, step_labels, write_rows
from rewards.records import Message, Preference, Ranking, Span

PAIR = Task("pairwise", "q", ("a", "b"), systems=("S", "T"), axis="kind", repeat=2, id="7", extra={"x": 1})
THREE = Task("ranking", "q", ("a", "b", "c"), systems=("S", "T", "U"), id="7", extra={"ranks": "old"})
BEST = Task("best", (Message("user", "q"),), ("a", "b", "c"))
STEPS = Task("steps", "q", ("x\ny\nz",), ("x\n", "y\n", "z"), extra={"labels": [1, 1, 1]})
SPANS = Task("spans", "q", ("wörd salad",), aspects=("bad", "+good"), systems=("S",))


def label(task, answer, annotator="ann", shown=None, **more):
    order = tuple(range(len(task.responses))) if shown is None else shown
    told = {"comment": "", "seconds": 2.5, "time": 1e9, "nonce": "n", **more}
    return Label(1, task, annotator, answer, order, **told)


def rows_of(rows, *labels):
    left_out = Counter()
    return list(rows(labels, left_out)), dict(left_out)


def test_an_answer_is_a_verdict_of_that_person():
    (verdict,) = label_verdicts(label(PAIR, PairwiseAnswer("second"), comment="why", shown=(1, 0)))
    expected = Comparison("q", "a", "b", "7", {"x": 1, "first_system": "S", "second_system": "T"})
    assert verdict.comparison == expected
    assert verdict.comparison.extra == expected.extra
    assert (verdict.winner, verdict.preference, verdict.reason) == ("second", None, "")
    assert (verdict.judge, verdict.axis, verdict.repeat, verdict.swapped) == ("human:ann", "kind", 2, True)
    assert (verdict.detail, verdict.usage.latency) == ("why", 2.5)


def test_a_skip_is_a_verdict_without_a_winner():
    (verdict,) = label_verdicts(label(PAIR, None))
    assert (verdict.winner, verdict.reason, verdict.swapped) == (None, "skipped", False)


def test_an_order_that_nobody_knows_is_told_as_such():
    (verdict,) = label_verdicts(label(PAIR, PairwiseAnswer("tie"), shown=()))
    assert verdict.comparison.extra[ORDER] == "unknown"


def test_a_ranking_tells_each_pair():
    verdicts = label_verdicts(label(THREE, RankingAnswer((2, 1, 2)), shown=(2, 0, 1)))
    told = [(one.comparison.first, one.comparison.second, one.winner, one.swapped) for one in verdicts]
    assert told == [("a", "b", "second", False), ("a", "c", "tie", True), ("b", "c", "first", True)]
    assert [one.comparison.extra["second_system"] for one in verdicts] == ["T", "U", "U"]
    assert not label_verdicts(label(THREE, None))


def test_the_best_is_told_against_each_other_one():
    verdicts = label_verdicts(label(BEST, BestAnswer(1, (3, 5, 1))))
    told = [(one.comparison.first, one.comparison.second, one.winner) for one in verdicts]
    assert told == [("a", "b", "second"), ("b", "c", "first")]
    assert len({one.comparison.id for one in verdicts}) == 2  # nothing else tells them apart


def test_preferences_go_with_most_people_and_say_what_is_left_out():
    other = comparison_task(Comparison("p", "c", "d"), "kind")
    rows, left_out = rows_of(
        preference_rows,
        label(PAIR, PairwiseAnswer("second"), "ann"),
        label(PAIR, PairwiseAnswer("second"), "bo"),
        label(PAIR, PairwiseAnswer("first"), "cy"),
        label(PAIR, None, "di"),
        label(other, PairwiseAnswer("tie")),
        label(SPANS, SpansAnswer(())),
    )
    (made,) = (preference(Row(row, "f", 1)) for row in rows)
    assert made == Preference("q", "b", "a", 0.0, "7", made.extra)
    assert (made.extra["chosen_system"], made.extra["verdicts"]) == ("T", 3)
    assert made.extra["preference"] == pytest.approx(2 / 3)
    assert left_out == {"tie": 1, "of the screen spans, which has no pairs": 1}


def test_rankings_are_by_the_mean_of_the_places():
    # Places a 1 and 1, b 2 and 2.5, c 3 and 2.5: whoever chooses the best ties the others at 2.5.
    task = Task("best", "q", ("a", "b", "c"))
    ((row,), left_out) = rows_of(
        ranking_rows,
        label(THREE, RankingAnswer((1, 2, 3)), "ann"),
        label(THREE, RankingAnswer((1, 2, 2)), "bo"),
        label(THREE, None, "cy"),
        label(STEPS, StepsAnswer(("positive", "positive", "positive"))),
    )
    made = ranking(Row(row, "f", 1))
    assert made == Ranking("q", ("a", "b", "c"), (1, 2, 3), "7", made.extra)
    assert (made.extra["labels"], made.extra["systems"]) == (2, ["S", "T", "U"])
    assert made.extra["data_ranks"] == "old"
    assert left_out == {"skipped": 1, "of the screen steps, which has no responses": 1}
    ((row,), _) = rows_of(ranking_rows, label(task, BestAnswer(2, (1, 1, 5))))
    assert row["ranks"] == [2, 2, 1]


def test_a_tie_shares_the_mean_of_its_places():
    def merged(*each):
        people = [label(THREE, RankingAnswer(ranks), str(number)) for number, ranks in enumerate(each)]
        rows, left_out = rows_of(ranking_rows, *people)
        return [row["ranks"] for row in rows], left_out

    # Places 1 2.5 2.5 and 2 1 3: means 1.5, 1.75 and 2.75, where the ranks' own would tie a and b.
    assert merged((1, 2, 2), (2, 1, 3)) == ([[1, 2, 3]], {})
    # Places 1 2 3 and 1.5 3 1.5: means 1.25, 2.5 and 2.25.
    assert merged((1, 2, 3), (1, 3, 1)) == ([[1, 3, 2]], {})
    # Places 1.5 1.5 3 and 2.5 2.5 1: all means are 2.
    assert merged((1, 1, 3), (2, 2, 1)) == ([], {"tie": 1})
    assert merged((1, 2, 3), (3, 2, 1)) == ([], {"tie": 1})
    assert merged((1, 2, 3), (2, 1, 3)) == ([[1, 1, 2]], {})


def test_rankings_of_each_person():
    left_out = Counter()
    labels = [
        label(THREE, RankingAnswer(ranks), name) for name, ranks in (("x", (1, 2, 3)), ("y", (3, 2, 1)))
    ]
    rows = list(ranking_rows(labels, left_out, each=True))
    assert [(row["annotator"], row["ranks"]) for row in rows] == [("x", [1, 2, 3]), ("y", [3, 2, 1])]


@pytest.mark.parametrize("rows", [preference_rows, ranking_rows])
def test_several_axes_are_refused(rows):
    labels = [
        label(comparison_task(Comparison("q", "a", "b"), axis), PairwiseAnswer("first")) for axis in "xy"
    ]
    with pytest.raises(DataError, match="take one by --axis"):
        rows_of(rows, *labels)


@pytest.mark.parametrize("neutral", [1.0, 0.5, 0.0, None])
def test_steps_are_labelled_up_to_the_first_error(neutral):
    left_out = Counter()
    labels = [
        label(STEPS, StepsAnswer(("neutral", "negative", None))),
        label(STEPS, StepsAnswer(("positive", "neutral", "positive")), "bo"),
        label(STEPS, None, "cy"),
    ]
    rows = list(step_label_rows(labels, left_out, neutral))
    made = [step_labels(Row(row, "f", 1)) for row in rows]
    assert [one.labels for one in made] == [(neutral, 0.0, None), (1.0, neutral, 1.0)]
    assert [(one.steps, one.extra["annotator"]) for one in made] == [
        (STEPS.steps, "ann"),
        (STEPS.steps, "bo"),
    ]
    assert made[0].extra["data_labels"] == [1, 1, 1]
    assert left_out == {"skipped": 1}


def test_spans_and_what_is_missing():
    spans = (Span(0, 4, "bad", 0.0), Span(5, 10, "+good", 1.0))
    rows, _ = rows_of(span_label_rows, label(SPANS, SpansAnswer(spans, ("a verb",))))
    (made,) = (span_labels(Row(row, "f", 1)) for row in rows)
    assert (made.response, made.spans) == ("wörd salad", spans)
    assert made.extra["missing"] == ["a verb"]
    assert (made.extra["aspects"], made.extra["system"]) == (["bad", "+good"], "S")


def test_ratings_are_of_single_answers():
    rows, left_out = rows_of(rating_rows, label(BEST, BestAnswer(1, (3, 5, 1))), label(PAIR, None))
    assert [(row["response"], row["rating"], row["annotator"]) for row in rows] == [
        ("a", 3, "ann"), ("b", 5, "ann"), ("c", 1, "ann"),
    ]  # fmt: skip
    assert rows[0]["prompt"] == [{"role": "user", "content": "q"}]
    assert left_out == {"skipped": 1}


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FULL_TEXTS = TEXTS.filter(str.strip)


@st.composite
def labels_of_any_kind(draw):
    screen = draw(st.sampled_from(["pairwise", "best", "ranking", "steps", "spans"]))
    count = 2 if screen == "pairwise" else draw(st.integers(2, 4))
    steps = tuple(draw(st.lists(FULL_TEXTS, min_size=1, max_size=4))) if screen == "steps" else ()
    one = ("".join(steps) if steps else draw(st.text("aé😀", min_size=2, max_size=5)),)
    responses = one if screen in ("steps", "spans") else tuple(draw(TEXTS) for _ in range(count))
    aspects = ("bad", "+good") if screen == "spans" else ()
    answers = {
        "pairwise": st.builds(PairwiseAnswer, st.sampled_from(["first", "second", "tie"])),
        "best": st.builds(
            BestAnswer, st.integers(0, count - 1), st.tuples(*[st.integers(1, 5)] * count)
        ),
        "ranking": st.permutations(range(1, count + 1)).map(lambda ranks: RankingAnswer(tuple(ranks))),
        "steps": st.sampled_from([
            StepsAnswer(("positive",) * len(steps)),
            StepsAnswer(("neutral",) * (len(steps) - 1) + ("negative",)),
        ]),
        "spans": st.builds(
            SpansAnswer, st.just((Span(0, 1, "+good", 1.0),)), st.lists(FULL_TEXTS, max_size=2).map(tuple)
        ),
    }  # fmt: skip
    task = Task(
        screen,
        draw(st.one_of(TEXTS, st.tuples(st.builds(Message, TEXTS, TEXTS)))),
        responses,
        steps,
        aspects,
        draw(st.sampled_from([(), ("S",) * len(responses)])),
        draw(TEXTS),
        draw(st.integers(0, 3)),
        draw(TEXTS),
        draw(
            st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.lists(TEXTS, max_size=2)), max_size=2)
        ),
        draw(st.one_of(st.none(), answers[screen])),
        draw(st.floats(0, 1)),
    )
    return Label(
        0,
        task,
        draw(FULL_TEXTS),
        draw(st.one_of(st.none(), answers[screen])),
        tuple(draw(st.permutations(range(len(responses))))),
        draw(TEXTS),
        draw(st.floats(0, 1e6)),
        draw(st.floats(0, 1e10)),
        draw(st.text("aZ9-_", min_size=1, max_size=200)),
        True,
    )


@given(labels_of_any_kind())
def test_a_label_s_row_holds_all_of_it(one):
    if one.answer is not None:
        check_answer(one.answer, one.task.responses, one.task.steps, one.task.aspects)
    text = json.dumps(label_row(one), ensure_ascii=False)
    again = label_of(Row(json.loads(text), "f.jsonl", 1))
    assert again == one
    assert again.task.extra == one.task.extra
    assert json.dumps(label_row(again), ensure_ascii=False) == text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("task", "q", "field 'task': expected a task"),
        ("task", {"screen": "pairwise"}, "field 'task': not a task"),
        (
            "task",
            {**label_row(label(PAIR, None))["task"], "screen": "vote"},
            "field 'task': id '7': unknown screen",
        ),
        ("annotator", "", "field 'annotator': expected a text"),
        ("answer", {"winner": "both"}, "field 'answer': winner is one of"),
        ("answer", {"best": 0, "ratings": [1, 1]}, "field 'answer': an answer here has the fields winner"),
        ("answer", "first", "field 'answer': an answer here has the fields winner"),
        ("shown", [0, 0], "field 'shown': expected the numbers 0 to 1"),
        ("shown", [0, True], "field 'shown': expected the numbers 0 to 1"),
        ("comment", None, "field 'comment': expected a text"),
        ("seconds", -1, "field 'seconds': expected seconds"),
        ("time", float("nan"), "field 'time': expected seconds"),
        ("time", True, "field 'time': expected seconds"),
        ("nonce", "a b", "field 'nonce': expected 1 to 200"),
        ("nonce", None, "field 'nonce': expected a text"),
    ],
)
def test_a_row_that_is_no_label_is_told(field, value, told):
    row = label_row(label(PAIR, PairwiseAnswer("first"))) | {field: value}
    with pytest.raises(DataError) as caught:
        label_of(Row(row, "f.jsonl", 3))
    assert str(caught.value).startswith(f"f.jsonl:3: {told}")


def imported(folder, rows, annotator=""):
    write_rows(folder / "rows.jsonl", rows, overwrite=True)
    passed = Counter()
    return list(read_labels(folder / "rows.jsonl", annotator, 5.0, passed)), passed


def test_verdicts_of_people_are_their_labels(tmp_path):
    comparison = Comparison("q", "a", "b", "1", {"first_system": "S", "second_system": "T", "x": 1})
    verdicts = [
        Verdict(comparison, "second", None, judge="human:ann", axis="kind", swapped=True, detail="why"),
        Verdict(comparison, None, None, "skipped", judge="human:bo", axis="kind"),
        Verdict(comparison, None, None, "parse_failed", judge="human:cy", axis="kind"),
        Verdict(comparison, "first", 0.9, judge="openai:m", axis="kind"),
    ]
    (one, skip), passed = imported(tmp_path, map(verdict_row, verdicts))
    assert (one.annotator, one.answer, one.shown, one.comment) == (
        "ann",
        PairwiseAnswer("second"),
        (1, 0),
        "why",
    )
    assert (one.task.systems, one.task.axis, one.task.extra["x"]) == (("S", "T"), "kind", 1)
    assert (skip.annotator, skip.answer, skip.shown) == ("bo", None, (0, 1))
    assert passed.total() == 2


def test_verdicts_on_overall_are_on_the_axis_without_a_name(tmp_path):
    verdict = Verdict(Comparison("q", "a", "b"), "first", None, judge="human:ann", axis="overall")
    (one,), _ = imported(tmp_path, [verdict_row(verdict)])
    assert one.task.key == comparison_task(Comparison("q", "a", "b")).key


def test_verdicts_that_do_not_say_whose_they_are(tmp_path):
    rows = [{"prompt": "q", "first": "a", "second": "b", "winner": "first"}]
    with pytest.raises(DataError, match=r"rows.jsonl:1: whose verdict is it\? --annotator"):
        imported(tmp_path, rows)
    ((one,), _) = imported(tmp_path, rows, "ann")
    assert (one.annotator, one.time) == ("ann", 5.0)


@pytest.mark.parametrize(
    ("rows", "labelled"),
    [
        (step_label_rows, label(STEPS, StepsAnswer(("positive", "negative", None)))),
        (span_label_rows, label(SPANS, SpansAnswer((Span(0, 4, "bad", 0.0),), ("a verb",)))),
        (lambda labels, out: ranking_rows(labels, out, each=True), label(THREE, RankingAnswer((1, 3, 1)))),
    ],
)
def test_records_come_back_as_labels_on_the_same_tasks(rows, labelled, tmp_path):
    made = list(rows([labelled], Counter()))
    ((one,), _) = imported(tmp_path, made)
    assert one.task.key == labelled.task.key
    assert (one.annotator, one.answer, one.task.gold) == ("ann", labelled.answer, None)
    assert one.task.systems == labelled.task.systems
    nobody = {name: value for name, value in made[0].items() if name != "annotator"}
    with pytest.raises(DataError, match="field 'annotator': expected whose label it is"):
        imported(tmp_path, [nobody])
    ((other,), _) = imported(tmp_path, [nobody], "bo")
    assert other.annotator == "bo"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"prompt": "q", "completions": ["x"], "labels": [0.3]},
            "field 'labels': expected one label for each",
        ),
        ({"prompt": "q", "responses": ["x", "y"], "ranks": [1]}, "field 'ranks': expected one rank for each"),
        ({"prompt": "q", "response": "x", "spans": []}, "field 'aspects': expected what could be marked"),
        ({"prompt": "q", "response": "x", "spans": [1]}, "field 'aspects': expected what could be marked"),
        ({"prompt": "q", "text": "x"}, "not a file of verdicts"),
    ],
)
def test_records_that_are_no_labels_are_told(row, told, tmp_path):
    with pytest.raises(DataError) as caught:
        imported(tmp_path, [row], "ann")
    assert told in str(caught.value)
    assert "rows.jsonl:1" in str(caught.value)
