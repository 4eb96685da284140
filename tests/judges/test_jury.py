from dataclasses import dataclass, replace
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.judge import Comparison, Verdict, ask_both_orders, load_judge
from judges.jury import Jury, member_agreements
from judges.usage import Usage
from judges.verdicts.members import majority, member_verdicts
from rewards.errors import ConfigError, DataError, SpecError

ONE = Comparison("Which?", "yes", "no", "1")


def verdict(said, preference=None, comparison=ONE, judge="", **fields):
    if said in ("first", "second", "tie"):
        return Verdict(comparison, said, preference, judge=judge, **fields)
    return Verdict(comparison, None, None, said, judge=judge, **fields)


@dataclass
class Member:
    """A judge that says what it is told to, of any comparison."""

    said: str
    preference: float | None = None
    axis: str = ""
    calls: int = 0

    def compare(self, comparisons):
        self.calls += 1
        usage = Usage(100, 40, 10, 0.25, 2.0)
        return [
            verdict(
                self.said,
                self.preference,
                one,
                axis=self.axis,
                detail="cut off" if self.said == "parse_failed" else "",
                reply=f"I say {self.said}",
                usage=usage,
            )
            for one in comparisons
        ]


def jury(*said, quorum=None, preferences=None):
    preferences = preferences or [None] * len(said)
    members = tuple(Member(*pair) for pair in zip(said, preferences, strict=True))
    names = tuple("ABCDE"[: len(said)])
    return Jury(members, names, quorum or len(said) // 2 + 1, "the jury")


@pytest.mark.parametrize(
    ("said", "winner"),
    [
        (("first", "first", "second"), "first"),
        (("second", "first", "second"), "second"),
        (("tie", "tie", "first"), "tie"),
        (("first", "second", "tie"), "tie"),  # no majority
        (("first", "second"), "tie"),
        (("first", "tie"), "tie"),  # one vote of two is not more than half
        (("first", "first", "second", "second"), "tie"),
        (("first", "first", "second", "tie"), "tie"),
        (("first", "refused", "first"), "first"),
        (("first", "refused", "second"), "tie"),
        (("refused", "first", "parse_failed"), None),
    ],
)
def test_a_strict_majority_of_the_votes_decides(said, winner):
    (found,) = jury(*said).compare([ONE])
    assert found.winner == winner
    assert found.comparison == ONE
    assert found.judge == "the jury"


def test_no_order_of_the_members_changes_a_verdict():
    words = ("first", "second", "tie", "refused", "parse_failed")
    for said in product(words, repeat=4):
        told = {
            (one.winner, one.reason)
            for order in set(permutations(said))
            for one in jury(*order, quorum=2).compare([ONE])
        }
        assert len(told) == 1, said


@given(st.lists(st.sampled_from(["first", "second", "tie"]), min_size=1, max_size=9))
def test_a_majority_mirrors_when_the_sides_are_exchanged(said):
    given_order = [verdict(word) for word in said]
    opposite = {"first": "second", "second": "first", "tie": "tie"}
    assert majority([one.swap() for one in given_order]) == opposite[majority(given_order)]


def test_below_the_quorum_the_most_common_reason_stands():
    (found,) = jury("first", "refused", "parse_failed", "refused", quorum=2).compare([ONE])
    assert (found.winner, found.reason) == (None, "refused")
    assert "A: first" in found.detail
    assert "C: no vote (parse_failed: cut off)" in found.detail
    (even,) = jury("refused", "parse_failed").compare([ONE])
    assert even.reason == "parse_failed"  # equally common: as they stand in REASONS
    (enough,) = jury("first", "refused", "parse_failed", quorum=1).compare([ONE])
    assert enough.winner == "first"


def test_preference_is_the_voters_mean_where_each_gives_one():
    (found,) = jury("first", "second", "refused", preferences=[0.9, 0.3, None]).compare([ONE])
    assert found.preference == pytest.approx(0.6)
    (partly,) = jury("first", "first", preferences=[0.9, None]).compare([ONE])
    assert partly.preference is None
    (none,) = jury("first", "refused", preferences=[0.9, None]).compare([ONE])
    assert none.preference is None  # no verdict, so none


def test_usage_is_the_members_sum():
    (found,) = jury("first", "first", "refused").compare([ONE])
    assert found.usage == Usage(300, 120, 30, 0.75, 2.0)


@pytest.mark.parametrize("said", [("first", "second", "refused"), ("refused", "refused", "first")])
def test_the_votes_come_back_from_the_verdict_in_either_order(said):
    judges = jury(*said, preferences=[0.75 if word == "first" else None for word in said])
    both = ask_both_orders(judges, [ONE])[0]
    for found, seen in ((both.given, ONE), (both.swapped, ONE.swap())):
        expected = [
            replace(member.compare([seen])[0], judge=name)
            for member, name in zip(judges.members, judges.names, strict=True)
        ]
        if found.swapped:
            expected = [one.swap() for one in expected]
        assert member_verdicts(found) == expected
        assert {one.comparison for one in member_verdicts(found)} == {ONE}


def test_taking_votes_apart_asks_nobody_again():
    judges = jury("first", "second", "first")
    found = judges.compare([ONE, ONE.swap()])
    votes = [member_verdicts(one) for one in found]
    assert [member.calls for member in judges.members] == [1, 1, 1]
    assert [[vote.winner for vote in one] for one in votes] == [["first", "second", "first"]] * 2


def test_only_a_jury_s_verdict_has_votes():
    for reply in ("", "It is short. [[A]]", "[1]", "{}x", '[{"judge": "A"}]'):
        with pytest.raises(DataError, match="holds no members' votes"):
            member_verdicts(verdict("first", reply=reply, judge="A"))


def rows(*columns):
    """Votes by comparison from the members' words, one text each: f s t, or - for an abstention."""
    words = {"f": "first", "s": "second", "t": "tie", "-": "refused"}
    return [
        [verdict(words[letter], judge=f"J{place}") for place, letter in enumerate(letters)]
        for letters in zip(*columns, strict=True)
    ]


def test_agreement_with_the_rest_by_hand():
    # The rest of J0 says f f s s f s (J1 and J2 agree on all six).
    found = member_agreements(rows("ffsffs", "ffssfs", "ffssfs"))[0]
    assert (found.judge, found.n, found.missing) == ("J0", 6, 0)
    assert found.percent == pytest.approx(5 / 6)
    # Expected by chance: 4/6 * 3/6 + 2/6 * 3/6 = 1/2.
    assert found.kappa == pytest.approx((5 / 6 - 1 / 2) / (1 - 1 / 2))


def test_agreement_counts_abstentions_as_missing_and_a_split_rest_as_a_tie():
    first, second, third = member_agreements(rows("f-ft", "f-sf", "-fss"))
    # Without J0: f (one vote), f, s, tie of f and s; J0 itself abstains on the second.
    assert (first.n, first.missing) == (3, 1)
    assert first.percent == pytest.approx(2 / 3)
    assert (third.n, third.missing) == (2, 2)  # it abstains on one, the others on another
    assert third.percent == 0.0
    assert second.n == 3


def test_agreement_that_is_undefined_is_none():
    always = member_agreements(rows("fff", "fff", "fff"))
    assert [one.percent for one in always] == [1.0, 1.0, 1.0]
    assert [one.kappa for one in always] == [None, None, None]
    silent = member_agreements(rows("---", "ffs", "fsf"))[0]
    assert (silent.n, silent.missing, silent.percent, silent.kappa) == (0, 3, None, None)
    assert member_agreements([]) == []
    with pytest.raises(ConfigError, match="different members"):
        member_agreements([*rows("f", "s"), [verdict("first", judge="other")] * 2])


def test_load_a_jury_whose_members_have_options():
    session = Session.open(AskingConfig())
    loaded = load_judge(
        "jury:reward:rule%3Alength%253Funit=words%3Fmargin=1,reward:rule%3Alength,reward:rule%3Alength?quorum=1",
        session,
    )
    assert loaded.quorum == 1
    assert len(set(loaded.names)) == 3
    assert loaded.names[2] == f"{loaded.names[1]} (2)"
    longer = Comparison("Which?", "four short words here", "fourshortwordshereandmore")
    (found,) = loaded.compare([longer])
    assert [one.winner for one in member_verdicts(found)] == ["first", "second", "second"]
    assert found.winner == "second"


def test_the_usual_quorum_is_more_than_half():
    assert load_judge("jury:reward:rule:length,reward:rule:exact").quorum == 2
    assert load_judge("jury:reward:rule:length,reward:rule:exact,reward:rule:random").quorum == 2


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("jury:reward:rule:length", "two members or more"),
        ("jury:reward:rule:length,", "two members or more"),
        ("jury:reward:rule:length,nobody:x", "'nobody:x' names no judge"),
        ("jury:reward:rule:length,reward:rule:exact?quorum=3", "quorum is from 1 to 2, the members, got '3'"),
        ("jury:reward:rule:length,reward:rule:exact?quorum=1.5", "quorum is from 1 to 2"),
        ("jury:reward:rule:length,reward:rule:exact?quorum=nan", "quorum is from 1 to 2"),
        ("jury:reward:rule:length,reward:rule:exact?margin=1", "percent-encoded"),
    ],
)
def test_a_jury_that_cannot_be(spec, told):
    with pytest.raises(SpecError, match=told):
        load_judge(spec)


def test_members_that_are_asked_different_things_make_no_jury():
    mixed = Jury((Member("first", axis="harmless"), Member("first")), ("A", "B"), 1)
    with pytest.raises(ConfigError, match="asked different things: axis overall repeat 0, axis harmless"):
        mixed.compare([ONE])
    with pytest.raises(ConfigError, match="different names"):
        Jury((Member("first"), Member("first")), ("A", "A"), 1)
