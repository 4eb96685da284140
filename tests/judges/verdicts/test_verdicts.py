import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.judge import REASONS, Comparison, Verdict
from judges.usage import Usage
from judges.verdicts.reading import read_verdicts, verdict_row
from judges.verdicts.table import join_tables, make_table, read_table
from judges.verdicts.training_rows import LARGEST_MARGIN, verdict_preferences, verdict_rankings
from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files import preference, ranking, read_rows, to_row, write_rows
from rewards.records import Message

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
prompts = text | st.lists(st.builds(Message, text, text), min_size=1, max_size=3).map(tuple)
extras = st.dictionaries(
    st.sampled_from(["first_system", "second_system", "first_score", "source"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
)
comparisons = st.builds(Comparison, prompts, text, text, text, extras)
counts = st.integers(0, 2**40)
amounts = st.none() | st.floats(0, 1e6)
usages = st.builds(Usage, counts, counts, counts, amounts, amounts)


@st.composite
def verdicts(draw):
    winner = draw(st.sampled_from(["first", "second", "tie", None]))
    return Verdict(
        draw(comparisons),
        winner,
        draw(st.none() | st.floats(0, 1)) if winner else None,
        "" if winner else draw(st.sampled_from(REASONS)),
        *(draw(text), draw(text), draw(st.integers(0, 9)), draw(st.booleans())),
        *(draw(text), draw(text), draw(usages)),
    )  # fmt: skip


def said(first, second, winner, prompt="p", systems=("", ""), **fields):
    extra = dict(zip(("first_system", "second_system"), systems, strict=True)) if systems[0] else {}
    preference = fields.pop("preference", None)
    comparison = Comparison(prompt, first, second, fields.pop("id", ""), extra)
    reason = fields.pop("reason", "" if winner else "parse_failed")
    return Verdict(comparison, winner, preference, reason, **fields)


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".parquet"])
def test_verdicts_come_back_exactly(tmp_path_factory, kind):
    folder = tmp_path_factory.mktemp("verdicts")

    @settings(max_examples=25, deadline=None)
    @given(st.lists(verdicts(), min_size=1, max_size=4).filter(_one_kind_of_prompt))
    def check(given_ones):
        write_rows(folder / f"v{kind}", map(verdict_row, given_ones), overwrite=True)
        back = list(read_verdicts(folder / f"v{kind}"))
        assert back == given_ones
        assert [one.comparison.extra for one in back] == [one.comparison.extra for one in given_ones]

    check()


def _one_kind_of_prompt(given_ones):  # a Parquet column has one type
    return len({type(one.comparison.prompt) for one in given_ones}) == 1


def test_a_swapped_verdict_has_the_row_of_the_other_side():
    row = verdict_row(said("a", "b", "first", systems=("x", "y"), preference=0.75))
    other = verdict_row(said("a", "b", "first", systems=("x", "y"), preference=0.75).swap())
    assert (other["first"], other["second"], other["winner"], other["preference"]) == (
        "b",
        "a",
        "second",
        0.25,
    )
    assert (other["first_system"], other["second_system"]) == ("y", "x")
    assert (row["swapped"], other["swapped"]) == (False, True)


def test_columns_of_the_data_that_are_named_like_ours_travel_under_another_name():
    comparison = Comparison("p", "a", "b", "7", {"cost": 3, "reply": "hello", "topic": "t"})
    row = verdict_row(Verdict(comparison, "tie", None, usage=Usage(cost=0.5)))
    assert (row["cost"], row["data_cost"], row["data_reply"], row["topic"]) == (0.5, 3, "hello", "t")


def test_half_of_a_surrogate_pair_in_a_reply_loses_no_verdict(tmp_path):
    write_rows(tmp_path / "v.jsonl", [verdict_row(said("a", "b", "tie", reply="so \ud83d"))])
    assert next(read_verdicts(tmp_path / "v.jsonl")).reply == "so \\ud83d"


def test_a_csv_of_people_is_read_with_its_empty_fields(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(
        "id,prompt,first,second,winner,judge,swapped,preference,reason,topic\n"
        "1,p,a,b,first,ann,true,,,t\n2,p,a,b,,ben,false,,skipped,\n3,p,a,b,tie,cy,,0.5,,t\n"
    )
    first, second, third = read_verdicts(path)
    assert (first.winner, first.swapped, first.preference, first.judge) == ("first", True, None, "ann")
    assert (second.winner, second.reason, second.swapped) == (None, "skipped", False)
    assert (third.preference, third.swapped, third.comparison.extra) == (0.5, False, {"topic": "t"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"winner": "A"}, "field 'winner': expected first, second, tie or null, got 'A'"),
        ({"winner": None}, "field 'reason': expected one of parse_failed, refused, api_failed, skipped"),
        ({"preference": 1.5}, "field 'preference': expected a number in [0, 1], got 1.5"),
        ({"preference": "high"}, "field 'preference': expected a number, got 'high'"),
        ({"swapped": "maybe"}, "field 'swapped': expected true or false, got 'maybe'"),
        ({"repeat": -1}, "field 'repeat': expected a whole number from 0, got -1"),
        ({"repeat": 1.5}, "field 'repeat': expected a whole number from 0, got 1.5"),
        ({"first": 3}, "field 'first': expected a text, got 3"),
        ({"prompt": 3}, "field 'prompt': expected a text or a list of {role, content}, got 3"),
        ({"reason": "refused"}, "a verdict has a winner, or a reason"),
    ],
)
def test_a_broken_row_names_file_line_and_field(tmp_path, change, problem):
    path = tmp_path / "v.jsonl"
    row = verdict_row(said("a", "b", "first"))
    path.write_text(f"{json.dumps(row)}\n\n{json.dumps(row | change)}\n")
    with pytest.raises(DataError) as wrong:
        list(read_verdicts(path))
    assert str(wrong.value).startswith(f"{path}:3: ")
    assert problem in str(wrong.value)


def test_another_file_is_refused_with_the_known_formats(tmp_path):
    write_rows(tmp_path / "v.jsonl", [{"prompt": "p", "response": "r"}])
    with pytest.raises(
        DataError, match=r"v.jsonl:1: not a file of verdicts: its columns are prompt, response; "
    ):
        read_verdicts(tmp_path / "v.jsonl")
    with pytest.raises(DataError, match=r"AlpacaEval: instruction, .*Arena-Hard v2: games.*MT-bench votes"):
        read_verdicts(tmp_path / "v.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no rows"):
        read_verdicts(tmp_path / "empty.jsonl")
    with pytest.raises(MissingFileError):
        read_verdicts(tmp_path / "none.jsonl")


SOME = [
    said("aa", "b", "first", "p", ("x", "y"), id="1", preference=0.75, judge="j"),
    said("aa", "b", "second", "p", ("x", "y"), id="1", swapped=True, judge="j"),
    said("c", "dddd", None, "q", ("y", "x"), id="2", judge="k", axis="helpful"),
    said("c", "dddd", "tie", (Message("user", "q"),), ("z", "x"), id="3", repeat=4, judge="k"),
]


def test_a_table_holds_what_the_verdicts_say(tmp_path):
    write_rows(tmp_path / "v.jsonl", map(verdict_row, SOME))
    table = read_table(tmp_path / "v.jsonl", measure=lambda response: [response.count("d")])
    assert len(table) == 4
    assert table.ids.tolist() == ["1", "1", "2", "3"]
    assert len(set(table.prompts.tolist())) == 3
    assert table.prompts[0] == table.prompts[1]
    assert [table.systems[code] for code in table.first_system] == ["x", "x", "y", "z"]
    assert [table.systems[code] for code in table.second_system] == ["y", "y", "x", "x"]
    assert [table.judges[code] for code in table.judge] == ["j", "j", "k", "k"]
    assert [table.axes[code] for code in table.axis] == ["", "", "helpful", ""]
    assert table.repeat.tolist() == [0, 0, 0, 4]
    assert table.swapped.tolist() == [0, 1, 0, 0]
    np.testing.assert_array_equal(table.outcome, [1, 0, np.nan, 0.5])
    np.testing.assert_array_equal(table.preference, [0.75, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(table.value, [0.75, 0, np.nan, 0.5])
    assert table.missing() == {"parse_failed": 1}
    assert table.first_characters.tolist() == [2, 2, 1, 1]
    assert table.second_characters.tolist() == [1, 1, 4, 4]
    assert table.second_measures.tolist() == [[0], [0], [4], [4]]
    assert make_table(SOME).first_measures.shape == (4, 0)


def test_turning_a_table_tells_what_swapped_verdicts_tell():
    table, expected = make_table(SOME).turned([True] * 4), make_table(one.swap() for one in SOME)
    for name in (
        "swapped",
        "outcome",
        "preference",
        "value",
        "reason",
        "first_characters",
        "second_characters",
    ):
        np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))
    for side in ("first_system", "second_system"):
        names = [table.systems[code] for code in getattr(table, side)]
        assert names == [expected.systems[code] for code in getattr(expected, side)]


def test_files_that_tell_of_either_side_agree_when_their_sides_are_sorted():
    told, other = make_table(SOME).sorted_sides(), make_table(one.swap() for one in SOME).sorted_sides()
    np.testing.assert_array_equal(told.value, other.value)
    np.testing.assert_array_equal(told.value, [0.75, 0, np.nan, 0.5])
    for table in (told, other):
        assert [table.systems[code] for code in table.first_system] == ["x"] * 4


def test_between_gives_the_verdicts_on_two_systems_told_from_one():
    table = make_table(SOME).between("y", "x")
    np.testing.assert_array_equal(table.value, [0.25, 1, np.nan])
    assert {table.systems[code] for code in table.first_system} == {"y"}
    with pytest.raises(ConfigError, match="no system is named 'w'; there are x, y, z"):
        make_table(SOME).between("w", "x")


def test_joined_tables_are_the_table_of_all():
    joined = join_tables([make_table(SOME[2:]), make_table(SOME[:2])])
    whole = make_table([*SOME[2:], *SOME[:2]])
    for name in ("prompts", "outcome", "preference", "swapped", "repeat", "ids"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert joined.systems == whole.systems
    for codes, names in (("first_system", "systems"), ("judge", "judges"), ("axis", "axes")):
        assert [getattr(joined, names)[code] for code in getattr(joined, codes)] == [
            getattr(whole, names)[code] for code in getattr(whole, codes)
        ]


def test_all_that_was_said_of_a_pair_gives_one_preference():
    export = verdict_preferences(
        [
            said("a", "b", "first", systems=("x", "y"), id="1"),
            said("b", "a", "second", systems=("y", "x"), id="1"),  # the other file's side
            said("a", "b", "second", systems=("x", "y"), id="1", judge="other"),
            said("a", "b", None, systems=("x", "y"), id="1"),
            said("a", "b", "second", "q", systems=("x", "y")),
        ]
    )
    first, second = export.records
    assert (first.prompt, first.chosen, first.rejected, first.margin, first.id) == ("p", "a", "b", 0, "1")
    assert first.extra == {
        "chosen_system": "x", "rejected_system": "y", "verdicts": 3, "preference": pytest.approx(2 / 3)
    }  # fmt: skip
    assert (second.chosen, second.rejected, second.extra["chosen_system"]) == ("b", "a", "y")
    assert export.left_out == {}


def test_what_gives_no_preference_is_counted():
    export = verdict_preferences(
        [
            said("a", "b", "first"),
            said("a", "b", "second", swapped=True),
            said("a", "b", "tie", "q"),
            said("a", "b", None, "r"),
            said("a", "a", "tie", "s"),
            said("a", "a", "tie", "s"),
            said("", "", "first", "t"),
        ]
    )
    assert export.records == []
    assert export.left_out == {"tie": 2, "no verdict": 1, "identical responses": 1, "no texts": 1}


def test_a_margin_is_the_logit_of_the_mean_probability():
    export = verdict_preferences(
        [
            said("a", "b", "second", preference=0.1),
            said("a", "b", "second", preference=0.3),
            said("a", "b", "first", "q", preference=1.0),
            said("a", "b", "first", "r"),
        ],
        margin="logit",
    )
    first, second = export.records
    assert (first.chosen, first.margin) == ("b", pytest.approx(math.log(0.8 / 0.2)))
    assert second.margin == LARGEST_MARGIN
    assert export.left_out == {"no probability": 1}


def test_verdicts_of_two_axes_are_not_mixed():
    with pytest.raises(DataError, match="verdicts on 'overall' and on 'harmless': take one"):
        verdict_preferences([said("a", "b", "first"), said("a", "b", "first", axis="harmless")])


def test_wins_rank_the_responses_of_a_prompt():
    export = verdict_rankings(
        [
            said("a", "b", "first", systems=("x", "y"), id="1"),
            said("c", "a", "second", systems=("z", "x"), id="1"),
            said("b", "c", "tie", systems=("y", "z"), id="1"),
            said("a", "b", "second", "two", systems=("x", "y")),
            said("a", "b", "first", "cycle"), said("b", "c", "first", "cycle"),
            said("c", "a", "first", "cycle"),
            said("a", "b", "first", "gap"), said("a", "c", "first", "gap"),
            said("a", "b", None, "missing"),
        ]
    )  # fmt: skip
    ranked = {one.prompt: dict(zip(one.responses, one.ranks, strict=True)) for one in export.records}
    assert ranked == {
        "p": {"a": 1, "b": 2, "c": 2},
        "two": {"a": 2, "b": 1},
        "cycle": {"a": 1, "b": 1, "c": 1},
    }
    assert export.records[0].extra == {"systems": ["x", "y", "z"], "verdicts": 3}
    assert export.left_out == {"a pair not compared": 1, "a pair without verdict": 1}


def test_what_is_exported_can_be_trained_on(tmp_path):
    given_ones = [said("a", "b", "first"), said("a", "b", "second", "q")]
    for export, read in (
        (verdict_preferences(given_ones), preference),
        (verdict_rankings(given_ones), ranking),
    ):
        write_rows(tmp_path / "out.jsonl", map(to_row, export.records), overwrite=True)
        assert [read(row) for row in read_rows(tmp_path / "out.jsonl")] == export.records


def test_a_tie_within_a_judge_s_margin_is_no_preference_whatever_its_probability():
    near, far = Comparison("p", "a", "b"), Comparison("q", "a", "b")
    found = verdict_preferences([Verdict(near, "tie", 0.55), Verdict(far, "first", 0.9)])
    assert [(one.prompt, one.chosen, one.extra["preference"]) for one in found.records] == [("q", "a", 0.9)]
    assert found.left_out == {"tie": 1}
    (ranked, *_) = verdict_rankings([Verdict(near, "tie", 0.55)]).records
    assert ranked.ranks == (1, 1)
