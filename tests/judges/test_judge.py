"""What a judge may say of itself: optional protocols, seen by whether the attribute is there."""

import pytest

from judges.judge import AsksPeople, CompositeJudge, Named, Verdict, load_judge
from judges.panel import asks_people

OPTIONAL = (Named, CompositeJudge, AsksPeople)


class Plain:
    def compare(self, comparisons):
        return [Verdict(one, "tie", None) for one in comparisons]


class Undecided(Plain):
    asks_people = False


@pytest.mark.parametrize(
    ("spec", "protocols"),
    [
        ("reward:rule:length", {Named}),
        ("openai:some-model", {Named}),
        ("openai:some-model?mode=pointwise", {Named}),
        ("jury:reward:rule:length,reward:rule:random", {Named, CompositeJudge}),
        ("human:{folder}/labels.db", {Named, AsksPeople}),
    ],
)
def test_what_our_judges_say_of_themselves(spec, protocols, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none is asked")
    judge = load_judge(spec.format(folder=tmp_path))
    assert {protocol for protocol in OPTIONAL if isinstance(judge, protocol)} == protocols


def test_a_judge_needs_none_of_them():
    assert not any(isinstance(Plain(), protocol) for protocol in OPTIONAL)
    assert not asks_people(Plain())
    assert not asks_people(Undecided())
