import json
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.human.answers import (
    Answer,
    BestAnswer,
    PairwiseAnswer,
    RankingAnswer,
    SpansAnswer,
    StepsAnswer,
)
from judges.human.rows.reading import IDENTICAL, Reading, read_tasks
from judges.human.rows.row_answers import split_nonblank_steps
from judges.human.tasks import Task
from judges.judge import Comparison, Verdict
from judges.verdicts.reading import verdict_row
from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files import write_rows
from rewards.records import Message, Span

PAIR = {"prompt": "q", "first": "a", "second": "b"}
THREE = {"prompt": "q", "responses": ["a", "b", "c"]}
STEPS = {"prompt": "q", "completions": ["x\n", "y\n", "z"]}
WORDS = {"prompt": "q", "response": "wörd salad"}


def read(folder: Path, *rows: dict[str, object], **options: object) -> list[Task]:
    write_rows(folder / "rows.jsonl", rows, overwrite=True)
    return list(read_tasks(folder / "rows.jsonl", Reading(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "options", "screen", "responses", "steps"),
    [
        (PAIR, {}, "pairwise", ("a", "b"), ()),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {}, "pairwise", ("a", "b"), ()),
        ({"prompt": "q", "responses": ["a", "b"]}, {}, "pairwise", ("a", "b"), ()),
        ({"prompt": "q", "responses": ["a", "b"]}, {"screen": "ranking"}, "ranking", ("a", "b"), ()),
        (PAIR, {"screen": "best"}, "best", ("a", "b"), ()),
        (THREE, {}, "ranking", ("a", "b", "c"), ()),
        (THREE, {"screen": "best"}, "best", ("a", "b", "c"), ()),
        (STEPS, {}, "steps", ("x\ny\nz",), ("x\n", "y\n", "z")),
        ({"prompt": "q", "response": "xy", "steps": ["x", "y"]}, {}, "steps", ("xy",), ("x", "y")),
        ({"prompt": "q", "response": "x\n\ny"}, {}, "steps", ("x\n\ny",), ("x\n\n", "y")),
        ({"prompt": "q", "response": "x;y"}, {"separator": ";"}, "steps", ("x;y",), ("x;", "y")),
        (WORDS, {"aspects": ("bad", "+good")}, "spans", ("wörd salad",), ()),
        (STEPS, {"screen": "spans", "aspects": ("bad",)}, "spans", ("x\ny\nz",), ()),
    ],
)
def test_columns_choose_the_screen(row, options, screen, responses, steps, tmp_path):
    (task,) = read(tmp_path, row, **options)
    assert (task.screen, task.responses, task.steps, task.prompt) == (screen, responses, steps, "q")
    assert task.aspects == options.get("aspects", ())
    assert task.gold is None


def test_what_says_who_wrote_an_answer_stays_off_the_page(tmp_path):
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "margin": 2, "id": 7}
    (task,) = read(tmp_path, row)
    assert (task.id, task.systems, task.extra) == ("7", ("chosen", "rejected"), {"margin": 2})
    (named,) = read(tmp_path, {**PAIR, "first_system": "S", "second_system": "T", "source": "here"})
    assert (named.systems, named.extra) == (("S", "T"), {"source": "here"})
    (several,) = read(tmp_path, {**THREE, "systems": ["S", "T", "U"], "axis": "harmless"})
    assert (several.systems, several.axis, several.extra) == (("S", "T", "U"), "harmless", {})
    (overruled,) = read(tmp_path, {**THREE, "axis": "harmless"}, axis="overall")
    assert overruled.axis == ""


def test_a_whole_dialogue_is_prompt_and_answers(tmp_path):
    turns = [{"role": "user", "content": "hi"}]
    answers = [[*turns, {"role": "assistant", "content": text}] for text in ("a", "b")]
    (task,) = read(tmp_path, {"chosen": answers[0], "rejected": answers[1]})
    assert (task.prompt, task.responses) == ((Message("user", "hi"),), ("a", "b"))


@pytest.mark.parametrize(
    ("row", "gold", "options", "answer"),
    [
        (PAIR, "second", {}, PairwiseAnswer("second")),
        (PAIR, "tie", {}, PairwiseAnswer("tie")),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "chosen", {}, PairwiseAnswer("first")),
        (THREE, [2, 1, 2], {}, RankingAnswer((2, 1, 2))),
        (THREE, [1, 1, 2], {}, RankingAnswer((1, 1, 3))),
        (THREE, 2, {"screen": "best"}, BestAnswer(2)),
        (STEPS, ["positive", "neutral", "negative"], {}, StepsAnswer(("positive", "neutral", "negative"))),
        (STEPS, [True, False, True], {}, StepsAnswer(("positive", "negative", None))),
        (STEPS, [1, 0.5, 1.0], {}, StepsAnswer(("positive", "neutral", "positive"))),
        (STEPS, [1, 0, None], {}, StepsAnswer(("positive", "negative", None))),
        (
            WORDS,
            [{"start": 1, "end": 3, "aspect": "+good"}],
            {"aspects": ("bad", "+good")},
            SpansAnswer((Span(1, 3, "+good", 1.0),)),
        ),
        (WORDS, [], {"aspects": ("bad",)}, SpansAnswer(())),
        (PAIR, None, {}, None),
    ],
)
def test_gold_is_the_known_answer(row, gold, options, answer: Answer, tmp_path):
    (task,) = read(tmp_path, {**row, "gold": gold}, **options)
    assert task.gold == answer
    assert "gold" not in task.extra


LINE = "rows.jsonl:1: "


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ([{"prompt": "q", "text": "a"}], {}, LINE + "no screen fits the columns prompt, text"),
        ([{"prompt": "q", "text": "a"}], {}, "spans needs prompt with response, and --aspects"),
        ([{"first": "a", "second": "b"}], {}, LINE + "no column 'prompt'"),
        ([{**PAIR, "second": None}], {}, LINE + "field 'second': expected a text, got null"),
        ([PAIR, {"prompt": "p", "first": "a"}], {}, "rows.jsonl:2: no screen fits"),
        ([{**PAIR, "second": " \n"}], {}, LINE + "field 'second': expected an answer"),
        ([{**THREE, "responses": ["a", "", "c"]}], {}, LINE + "field 'responses': expected an answer"),
        ([{**THREE, "responses": ["a"]}], {}, LINE + "ranking needs 2 responses or more, got 1"),
        ([{**THREE, "responses": []}], {}, LINE + "ranking needs 2 responses or more, got 0"),
        ([{**THREE, "systems": ["S"]}], {}, LINE + "3 responses but 1 systems"),
        ([{"prompt": "q", "responses": ["a", "b"]}, THREE], {}, "rows.jsonl:2: pairwise compares 2"),
        ([{**PAIR, "id": 3}, {**PAIR, "prompt": "p", "id": "3"}], {}, "'3' is the id at"),
        ([{**PAIR, "id": 3}, {**PAIR, "prompt": "p", "id": "3"}], {}, "rows.jsonl:1 too"),
        ([PAIR, {"prompt": "q", "first": "b", "second": "a"}], {}, "rows.jsonl:2: asks the same as"),
        ([{**PAIR, "gold": "a"}], {}, LINE + "field 'gold': expected first, second or tie"),
        ([{**PAIR, "gold": 0}], {}, LINE + "field 'gold': expected first, second or tie"),
        ([{**THREE, "gold": [1, 2]}], {}, LINE + "field 'gold': expected one rank for each answer"),
        ([{**THREE, "gold": ["a", "b", "c"]}], {}, "field 'gold': expected one rank for each answer"),
        ([{**THREE, "gold": 3}], {"screen": "best"}, LINE + "field 'gold': expected the index"),
        ([{**STEPS, "gold": [None, 1, 1]}], {}, LINE + "field 'gold': expected one label for each step"),
        ([{**STEPS, "gold": [1, 1]}], {}, LINE + "field 'gold': expected one label for each step"),
        ([{**WORDS, "gold": [{"start": 0, "end": 99, "aspect": "bad"}]}], {"aspects": ("bad",)}, "'gold'"),
        ([{**WORDS, "gold": [{"start": 0, "end": 2, "aspect": "odd"}]}], {"aspects": ("bad",)}, "'odd'"),
        ([{**STEPS, "response": "xyz"}], {}, LINE + "field 'completions': expected steps that join"),
        ([{**STEPS, "completions": ["x", ""]}], {}, LINE + "field 'completions': expected an answer"),
        ([{**WORDS, "spans": []}], {}, LINE + "rows with spans need aspects"),
        ([PAIR], {"aspects": ("bad",)}, LINE + "aspects go with the screen spans"),
        ([PAIR], {"screen": "steps"}, LINE + "no screen fits the columns prompt, first, second"),
        ([{**PAIR, "id": [1]}], {}, LINE + "field 'id': expected a text or a whole number"),
    ],
)
def test_bad_rows_are_told_by_line(rows, options, told, tmp_path):
    with pytest.raises((DataError, ConfigError)) as caught:
        read(tmp_path, *rows, **options)
    assert told in str(caught.value).replace(f"{tmp_path}/", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"screen": "vote"}, "unknown screen 'vote'; there are auto, pairwise, best, ranking, steps, spans"),
        ({"screen": "spans"}, "the screen spans needs aspects"),
        ({"screen": "best", "aspects": ("bad",)}, "aspects go with the screen spans, not with best"),
        ({"aspects": ("bad", "bad")}, "aspects are different names"),
        ({"separator": ""}, "separator"),
    ],
)
def test_bad_settings_are_told(options, told):
    with pytest.raises(ConfigError, match=told):
        Reading(**options)


def test_no_file_no_rows(tmp_path):
    with pytest.raises(MissingFileError):
        read_tasks(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no rows"):
        list(read_tasks(tmp_path / "empty.jsonl"))


def test_the_same_question_under_two_ids_is_two_tasks(tmp_path):
    tasks = read(tmp_path, {**PAIR, "id": "1"}, {**PAIR, "id": "2"})
    assert len({task.key for task in tasks}) == 2


def test_identical_answers_are_passed_over_and_counted_unless_they_are_a_check(tmp_path):
    same = {"prompt": "q", "first": "a", "second": "a"}
    write_rows(tmp_path / "rows.jsonl", [same, PAIR, {**same, "prompt": "p", "gold": "tie"}])
    passed: Counter[str] = Counter()
    tasks = list(read_tasks(tmp_path / "rows.jsonl", passed=passed))
    assert [task.gold for task in tasks] == [None, PairwiseAnswer("tie")]
    assert passed == {IDENTICAL: 1}


def test_a_file_of_verdicts_gives_each_comparison_once(tmp_path):
    extra = {"first_system": "S", "second_system": "T", "source": "here"}
    comparisons = [Comparison("q", "a", "b", "1", extra), Comparison("p", "c", "d", "1", extra)]
    verdicts = [
        Verdict(one, "first", None, judge=judge, axis=axis, swapped=swapped)
        for one in comparisons
        for judge in ("x", "y")
        for axis in ("", "kind")
        for swapped in (False, True)
    ]
    tasks = read(tmp_path, *map(verdict_row, verdicts))
    assert [(task.prompt, task.axis) for task in tasks] == [
        ("q", ""),
        ("q", "kind"),
        ("p", ""),
        ("p", "kind"),
    ]
    assert all((task.systems, task.extra) == (("S", "T"), {"source": "here"}) for task in tasks)
    assert len(read(tmp_path, *map(verdict_row, verdicts), axis="kind")) == 2


def test_csv_parquet_and_folders_say_the_same(tmp_path):
    rows = [{**THREE, "systems": ["S", "T", "U"], "gold": [1, 2, 3]}, {**THREE, "prompt": "p"}]
    expected = read(tmp_path, *rows)
    lines = ["prompt,responses,systems,gold"]
    for row in rows:
        fields = [
            json.dumps(row[name]).replace('"', '""') if name in row else ""
            for name in ("responses", "systems", "gold")
        ]
        lines.append(",".join([str(row["prompt"]), *(f'"{text}"' for text in fields)]))
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "folder").mkdir()
    for number, row in enumerate(rows):
        write_rows(tmp_path / "folder" / f"{number}.jsonl", [row])
    for name in ("rows.csv", "rows.parquet", "folder"):
        assert list(read_tasks(tmp_path / name)) == expected
    (tmp_path / "bad.csv").write_text('prompt,responses\nq,"[a, b]"\n')
    with pytest.raises(DataError, match=r"bad.csv:2: field 'responses': expected a list, in csv as JSON"):
        list(read_tasks(tmp_path / "bad.csv"))


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [PAIR, {"prompt": "q"}])
    tasks = read_tasks(tmp_path / "rows.jsonl")
    assert next(tasks).responses == ("a", "b")
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        next(tasks)


def test_columns_are_renamed(tmp_path):
    (task,) = read(
        tmp_path,
        {"question": "q", "A": "a", "B": "b"},
        rename={"question": "prompt", "A": "first", "B": "second"},
    )
    assert (task.prompt, task.responses) == ("q", ("a", "b"))


@given(st.text(alphabet="ab \n;", max_size=30), st.sampled_from(["\n\n", "\n", ";", " "]))
def test_steps_join_to_the_response_and_none_is_blank(response, separator):
    steps = split_nonblank_steps(response, separator)
    assert "".join(steps) == response
    if response.strip():
        assert all(step.strip() for step in steps)
        assert all(step.endswith(separator) for step in steps[:-1])
