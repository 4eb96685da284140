import dataclasses
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, DataError
from rewards.files import Row, Screen, ScreeningConfig, preference
from rewards.records import Generation, Preference, Ranking, Span, SpanLabels, StepLabels

SAME = Preference("p", "a", "a", id="same")
EMPTY = Preference("p", "a", " \n", id="empty")
PLAIN = Preference("p", "a", "b", id="plain")
NAN = Preference("p", "a", "c", id="nan", extra={"scores": [1.0, math.nan]})


def screened(records, **rules):
    screen = Screen(ScreeningConfig(**rules))
    return list(screen.apply(records)), screen.report


def test_the_defaults_drop_what_says_nothing_and_keep_the_rest():
    kept, report = screened([SAME, EMPTY, PLAIN, dataclasses.replace(PLAIN, chosen="d")])
    assert [record.id for record in kept] == ["empty", "plain", "plain"]
    assert report.dropped == {"identical": 1}
    assert report.found == {"identical": 1, "empty": 1, "duplicate_ids": 1}
    assert (report.rows, report.kept) == (4, 3)


@pytest.mark.parametrize(
    ("rule", "record"),
    [("identical", SAME), ("empty", EMPTY), ("duplicate_ids", PLAIN), ("not_a_number", NAN)],
)
def test_each_rule_drops_keeps_or_stops(rule, record):
    records = [PLAIN, record]
    kept, report = screened(records, **{rule: "drop"})
    assert kept == [PLAIN]
    assert report.dropped == {rule: 1}
    with pytest.raises(DataError, match=rf"^record 2, id '{record.id}': .*screening.{rule} may say drop"):
        screened(records, **{rule: "error"})
    if rule != "not_a_number":
        kept, report = screened(records, **{rule: "keep"})
        assert kept == records
        assert report.found[rule] == 1


@pytest.mark.parametrize(
    "rules", [{"identical": "maybe"}, {"not_a_number": "keep"}, {"no_comparison": "keep"}, {"empty": ""}]
)
def test_a_rule_that_does_not_exist_is_refused(rules):
    with pytest.raises(ConfigError, match=next(iter(rules))):
        ScreeningConfig(**rules)


def test_duplicates_and_contradictions_are_counted_and_kept():
    records = [PLAIN, PLAIN.swap(), PLAIN, Preference("other", "b", "a")]
    kept, report = screened(records)
    assert kept == records
    # The second is the first the other way round; the third repeats the first and contradicts the second.
    assert report.found["contradictions"] == 2
    assert report.found["duplicates"] == 1


def test_texts_that_run_together_are_no_duplicates():
    _, report = screened([Preference("p", "ab", "c"), Preference("p", "a", "bc"), Preference("pa", "b", "c")])
    assert report.found == {}


def test_every_kind_of_record_is_screened():
    records = [
        Generation("p", ""),
        Ranking("p", ("a", "a", "a"), (1, 2, 3)),
        Ranking("p", ("a", "a", "b"), (1, 2, 3)),
        StepLabels("p", ("a", "b"), (1.0, None)),
        StepLabels("p", ("a", "b"), (1.0, 0.0)),
        SpanLabels("p", "ab", (Span(0, 1, "x", 1.0),)),
        SpanLabels("p", "ab", (Span(0, 1, "x", 1.0),)),
    ]
    kept, report = screened(records)
    assert kept == [records[0], *records[2:]]
    assert report.found == {"empty": 1, "identical": 1, "duplicates": 1}


def test_unknown_columns_are_counted_by_name():
    _, report = screened([Preference("p", "a", str(n), extra={"source": 1, f"only{n}": 2}) for n in range(2)])
    assert report.unknown_columns == {"source": 2, "only0": 1, "only1": 1}


def test_not_a_number_is_found_before_a_row_becomes_a_record():
    good = {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 1.0}
    rows = [Row(good | {"margin": math.nan}, "x.jsonl", 1), Row(good, "x.jsonl", 2)]
    screen = Screen(ScreeningConfig(not_a_number="drop"))
    assert [record.margin for record in screen.records(rows, preference)] == [1.0]
    assert screen.report.dropped == {"not_a_number": 1}
    with pytest.raises(DataError, match=r"^x.jsonl:1: field 'margin': NaN or infinite"):
        list(Screen().records(rows, preference))


def test_a_row_that_compares_nothing_is_dropped_only_when_told():
    rows = [Row({"n": 1}, "x.jsonl", 1)]
    with pytest.raises(DataError, match=r"^x.jsonl:1: fewer than two responses"):
        list(Screen().records(rows, lambda _: None))
    screen = Screen(ScreeningConfig(no_comparison="drop"))
    assert list(screen.records(rows, lambda _: None)) == []
    assert screen.report.dropped == {"no_comparison": 1}


RULES = st.fixed_dictionaries(
    {name: st.sampled_from(["keep", "drop"]) for name in ("identical", "empty", "duplicate_ids")}
)
RECORDS = st.builds(
    Preference,
    st.sampled_from("pq"),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "a", "b"]),
    id=st.sampled_from(["", "1", "2"]),
    extra=st.sampled_from([{}, {"x": math.inf}]),
)


@given(st.lists(RECORDS), RULES)
def test_rows_in_are_rows_out_and_rows_dropped(records, rules):
    kept, report = screened(records, not_a_number="drop", **rules)
    assert report.rows == len(records)
    assert report.kept == len(kept)
    assert report.rows == report.kept + sum(report.dropped.values())
    assert all(report.dropped[name] <= report.found[name] for name in report.dropped)
    # What stays keeps its order.
    remaining = iter(records)
    assert all(any(other is record for other in remaining) for record in kept)


def test_screening_reads_one_row_at_a_time():
    taken = []
    records = (taken.append(n) or Preference("p", "a", str(n)) for n in range(100))
    screen = Screen()
    next(screen.apply(records))
    assert taken == [0]
    assert screen.report.rows == 1


def test_one_screen_may_pass_several_sources():
    screen = Screen()
    assert list(screen.apply([PLAIN])) == list(screen.apply([PLAIN]))
    assert screen.report.found == {"duplicate_ids": 1, "duplicates": 1}


def test_the_report_fits_a_line_and_a_json_file_and_cannot_be_changed():
    _, report = screened([SAME, EMPTY, dataclasses.replace(PLAIN, extra={"source": "web"})])
    assert str(report) == (
        "3 rows, 2 kept; dropped: identical 1; found: identical 1, empty 1; unknown columns: source 1"
    )
    assert json.loads(json.dumps(report.as_dict()))["dropped"] == {"identical": 1}
    assert re.fullmatch(r"[^\n]+", str(report))
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.rows = 0
