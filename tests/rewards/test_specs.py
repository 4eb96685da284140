"""How a scorer is named: schemes, options, percent-encoding, and what is refused."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import SpecError
from rewards.records import Generation
from rewards.scorer import load_scorer
from rewards.specs import parse_spec

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_a_spec_has_a_scheme_a_rest_and_options():
    spec = parse_spec("rule:pattern?pattern=a%26b&count=true", ["rule", "column"])
    assert (spec.scheme, spec.rest, dict(spec.options)) == (
        "rule",
        "pattern",
        {"pattern": "a&b", "count": "true"},
    )


@pytest.mark.parametrize("text", ["org/model-7b", "./folder?eos=true", "model"])
def test_what_has_no_scheme_is_a_model(text):
    assert parse_spec(text, ["rule"]).scheme == "model"


def test_a_folder_with_a_colon_in_its_name_is_a_model(tmp_path):
    folder = tmp_path / "run:3"
    folder.mkdir()
    assert parse_spec(str(folder), ["rule"]).rest == str(folder)


@given(TEXTS, st.dictionaries(TEXTS, st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_what_is_percent_encoded_comes_back_as_it_was(rest, options):
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in options.items())
    spec = parse_spec(f"column:{quote(rest, safe='')}" + (f"?{query}" if query else ""), ["column"])
    assert spec.rest == rest
    assert spec.options == options


def test_a_plus_stays_a_plus():
    assert parse_spec("rule:pattern?pattern=a+", ["rule"]).options == {"pattern": "a+"}
    assert load_scorer("rule:pattern?pattern=a+b").score([Generation("p", "caab")])[0].value == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names nothing"),
        ("nope:x", r"unknown scheme 'nope'; known: .*column.*ensemble.*rule.*testbed"),
        ("rule:length?unit", "name=value"),
        ("rule:length?=words", "name=value"),
        ("rule:length?unit=words&unit=words", "'unit' is given twice"),
        ("rule:length?units=words", "unknown option 'units'"),
        ("rule:constant?value=high", "value"),
    ],
)
def test_what_names_nothing_is_refused(text, says):
    with pytest.raises(SpecError, match=says):
        load_scorer(text)
