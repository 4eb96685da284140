import json

import pytest

from judges.sides import Side, SideComparisons, match_sides, side_name
from rewards.errors import ConfigError, DataError


def side(tmp_path, name, rows, **options):
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Side(str(path), name, **options)


def row(prompt, response, **more):
    return {"prompt": prompt, "response": response, **more}


def texts(first, second, **options):
    matching = match_sides(first, second, **options)
    return [(one.prompt, one.first, one.second) for one in SideComparisons(first, second, matching)]


def test_rows_in_any_order_are_matched_by_prompt(tmp_path):
    first = side(tmp_path, "a", [row("p", "1"), row("q", "2")])
    assert texts(first, side(tmp_path, "b", [row("p", "3"), row("q", "4")])) == [
        ("p", "1", "3"),
        ("q", "2", "4"),
    ]
    assert texts(first, side(tmp_path, "c", [row("q", "4"), row("p", "3")])) == [
        ("p", "1", "3"),
        ("q", "2", "4"),
    ]


def test_ids_match_rows_whose_prompts_repeat(tmp_path):
    first = side(tmp_path, "a", [row("p", "1", id="x"), row("p", "2", id="y")])
    second = side(tmp_path, "b", [row("p", "3", id="y"), row("p", "4", id="x")])
    assert texts(first, second) == [("p", "1", "4"), ("p", "2", "3")]


def test_ids_of_one_file_alone_match_nothing(tmp_path):
    first = side(tmp_path, "a", [row("p", "1", id="x")])
    assert texts(first, side(tmp_path, "b", [row("p", "3")])) == [("p", "1", "3")]


def test_a_row_without_partner_is_refused_with_its_place_or_left_and_counted(tmp_path):
    first = side(tmp_path, "a", [row("p", "1"), row("only here", "2")])
    second = side(tmp_path, "b", [row("p", "3"), row("q", "4"), row("r", "5")])
    with pytest.raises(
        DataError, match=r"a\.jsonl: 1 of 2 rows .* by prompt, the first .*a\.jsonl:2; --unmatched"
    ):
        match_sides(first, second)
    matching = match_sides(first, second, "leave")
    assert matching.left_out == (1, 2)
    assert texts(first, second, unmatched="leave") == [("p", "1", "3")]


def test_files_that_share_nothing_are_refused_even_where_rows_may_be_left(tmp_path):
    with pytest.raises(DataError, match="no prompt stands in both"):
        match_sides(side(tmp_path, "a", [row("p", "1")]), side(tmp_path, "b", [row("q", "1")]), "leave")


def test_a_prompt_twice_in_a_file_names_both_lines(tmp_path):
    first = side(tmp_path, "a", [row("p", "1"), row("q", "1"), row("p", "2")])
    with pytest.raises(
        DataError, match=r"a\.jsonl:3: the same prompt as .*a\.jsonl:1; give the rows distinct ids"
    ):
        match_sides(first, side(tmp_path, "b", [row("p", "1")]))


def test_one_id_with_two_prompts_is_refused_and_renaming_it_matches_by_prompt(tmp_path):
    ours, theirs = (
        [row("p", "1", id="1"), row("q", "2", id="2")],
        [row("q", "3", id="1"), row("p", "4", id="2")],
    )
    with pytest.raises(DataError, match=r"one id, but two prompts.*rename"):
        match_sides(side(tmp_path, "a", ours), side(tmp_path, "b", theirs))
    away = {"rename": {"id": "row"}}
    first, second = side(tmp_path, "a", ours, **away), side(tmp_path, "b", theirs, **away)
    assert texts(first, second) == [("p", "1", "4"), ("q", "2", "3")]


def test_several_responses_to_a_row_are_refused(tmp_path):
    many = side(tmp_path, "a", [{"prompt": "p", "responses": ["1", "2"]}])
    with pytest.raises(DataError, match="one response to a row"):
        match_sides(many, side(tmp_path, "b", [row("p", "1")]))


def test_columns_of_both_sides_travel_along_and_say_whose_they_are(tmp_path):
    first = side(tmp_path, "a", [row("p", "1", reference="42", tokens=3)])
    second = side(tmp_path, "b", [row("p", "2", reference="42", tokens=5, note="n")])
    (one,) = SideComparisons(first, second, match_sides(first, second))
    assert one.extra == {
        "reference": "42", "first_tokens": 3, "second_tokens": 5, "note": "n",
        "first_system": "a", "second_system": "b",
    }  # fmt: skip
    assert one.swap().extra["first_tokens"] == 5
    assert one.swap().extra["first_system"] == "b"
    assert one.swap().swap() == one


def test_limit_takes_the_first_comparisons(tmp_path):
    rows = [row(f"p{number}", "x") for number in range(5)]
    first, second = side(tmp_path, "a", rows), side(tmp_path, "b", rows[::-1])
    assert len(list(SideComparisons(first, second, match_sides(first, second), 2))) == 2


def test_systems_need_different_names(tmp_path):
    first = side(tmp_path, "a", [row("p", "1")])
    with pytest.raises(ConfigError, match=r"both systems are named 'a'.*--second_name"):
        match_sides(first, first)
    assert side_name("folder/gpt.jsonl.gz", "") == "gpt"
    assert side_name("folder/gpt.jsonl.gz", "mine") == "mine"
