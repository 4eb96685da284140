"""Probes made of good answers: what each shows a judge, in which order, and that nothing else differs."""

from collections import Counter

import pytest

from judges.probes import CONTROL, GOOD, IDENTICAL, INJECTION, KINDS, NULL, PADDING, make_trials
from rewards.errors import DataError
from rewards.records import Generation, Message

LONG = (
    "One reason is {own} braces. Another is [[C]]. A third follows from both, number {number}. That is all."
)


def answers(count: int) -> list[Generation]:
    return [
        Generation(f"Why {number}?", LONG.replace("{number}", str(number)), id=str(number), extra={"hue": 7})
        for number in range(count)
    ]


def of(trials, probe):
    return [trial for trial in trials if trial.probe == probe]


def test_each_pair_is_shown_once_in_either_order_and_an_identical_one_once():
    seen = Counter()
    for trial in make_trials(answers(5), 0):
        shown = trial.shown()
        good = shown.first if trial.turned else shown.second
        assert good == trial.comparison.second
        assert shown.extra["first_system" if trial.turned else "second_system"] == GOOD
        assert shown.extra["hue"] == 7
        seen[trial.probe, trial.kind, shown.prompt, trial.turned] += 1
    kinds = {(probe, kind) for probe, names in KINDS.items() for kind in names} | {(CONTROL, "")}
    both = {
        (*kind, f"Why {number}?", turned) for kind in kinds for number in range(5) for turned in (False, True)
    }
    assert set(seen) == both | {(IDENTICAL, "", f"Why {number}?", False) for number in range(5)}
    assert set(seen.values()) == {1}


def test_a_letter_is_that_of_the_answers_own_place():
    lettered = set()
    for trial in make_trials(answers(3), 0):
        own, other = ("B", "A") if trial.turned else ("A", "B")
        for claim in ("[[{}]]", "nswer {} is better", '"verdict": "{}"'):
            assert claim.format(other) not in trial.comparison.first
            if claim.format(own) in trial.comparison.first:
                lettered.add((trial.probe, trial.kind))
    assert lettered == {
        (NULL, "verdict table"),
        (INJECTION, "brackets"),
        (INJECTION, "order"),
        (INJECTION, "end marker"),
        (INJECTION, "JSON"),
    }


def test_comparisons_whose_texts_differ_by_the_order_have_ids_of_their_own():
    texts = {}
    for trial in make_trials(answers(3), 0):
        assert texts.setdefault(trial.comparison.id, trial.comparison.first) == trial.comparison.first


def test_null_answers_are_the_same_to_every_prompt():
    texts = {}
    for trial in of(make_trials(answers(4), 0), NULL):
        texts.setdefault((trial.kind, trial.turned), set()).add(trial.comparison.first)
    assert all(len(said) == 1 for said in texts.values())
    assert texts["empty", False] == {""}


def test_injections_stand_in_the_very_answer_that_is_shown_without_them():
    given = answers(40)
    trials = list(make_trials(given, 0))
    control = {trial.comparison.prompt: trial.comparison.first for trial in of(trials, CONTROL)}
    sources = Counter()
    for number, answer in enumerate(given):
        worse = control[answer.prompt]
        assert worse != answer.response
        others = [each.response for each in given if each is not given[number]]
        sources["other" if worse in others else "cut" if answer.response.startswith(worse) else "none"] += 1
    assert sources["none"] == 0
    assert min(sources["other"], sources["cut"]) >= 8  # each has chance 1/2; fewer of 40 has chance 1e-4
    places = Counter()
    for trial in of(trials, INJECTION):
        worse, text = control[trial.comparison.prompt], trial.comparison.first
        assert worse in text
        places[trial.kind, text.startswith(worse)] += 1
    assert places["end marker", False] == 0
    assert min(places["brackets", False], places["brackets", True]) >= 16


def test_padding_holds_the_whole_answer_and_more():
    for trial in of(make_trials(answers(2), 0), PADDING):
        good, padded = trial.comparison.second, trial.comparison.first
        assert good in padded
        assert len(padded) > len(good) + 50


def test_the_seed_alone_decides():
    given = answers(20)
    assert list(make_trials(given, 3)) == list(make_trials(given, 3))
    assert list(make_trials(given, 3)) != list(make_trials(given, 4))


def test_conversations_are_prompts_too():
    talk = (Message("user", "Hello"), Message("assistant", "Hello."), Message("user", "Why?"))
    trials = list(make_trials([Generation(talk, "So."), Generation("Why?", "Because.")], 0))
    assert {trial.comparison.prompt for trial in trials} == {talk, "Why?"}
    assert of(trials, CONTROL)[0].comparison.first == "Because."


def test_one_prompt_is_too_few():
    with pytest.raises(DataError, match="2 prompts or more"):
        list(make_trials([Generation("Why?", "So."), Generation("Why?", "Thus.")], 0))


def test_answers_that_are_all_alike_are_cut_or_refused():
    with pytest.raises(DataError, match="row 1: no other prompt has another answer"):
        list(make_trials([Generation("Why?", "Yes."), Generation("When?", " Yes.")], 0))
    alike = "one two three four five six seven eight nine ten eleven twelve"
    trials = list(make_trials([Generation("Why?", alike), Generation("When?", alike)], 0))
    assert {trial.comparison.first for trial in of(trials, CONTROL)} == {"one two three four five six"}
