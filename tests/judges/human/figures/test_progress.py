"""Figures of a study that are worked by hand, and the admin view's pages."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.human.answers import (
    BestAnswer,
    PairwiseAnswer,
    RankingAnswer,
    SpansAnswer,
    StepsAnswer,
)
from judges.human.figures.compact import CompactLabel, by_task, compact_label, compact_task
from judges.human.figures.measured import answered_twice, measured
from judges.human.figures.numbers import JudgeWord, Numbers, comparison_digest, text_digest
from judges.human.figures.people_agreement import NOBODY_TWICE, UNDEFINED, people_agreement
from judges.human.figures.progress import annotator_numbers, counts_of
from judges.human.figures.qualities import system_qualities
from judges.human.figures.splits import splits_of
from judges.human.labels import Label
from judges.human.tasks import Task
from judges.human.web.admin_page import PER_PAGE, AdminPage
from judges.human.web.admin_words import answer_words, bar, duration
from judges.statistics.shares import share_of
from rewards.errors import ConfigError
from rewards.intervals import Resampling
from rewards.records import Span

FIRST, SECOND, TIE = (PairwiseAnswer(winner) for winner in ("first", "second", "tie"))
QUICK = Resampling(resamples=200)


def pair(number, gold=None, prompt="", systems=("A", "B"), priority=0.0):
    texts = (f"one {number}", f"two {number}")
    prompt = prompt or f"prompt {number}"
    return Task("pairwise", prompt, texts, systems=systems, gold=gold, priority=priority)


def asked(*tasks):
    return {number: compact_task(number, task) for number, task in enumerate(tasks)}


def says(task, annotator, answer, shown=(0, 1), seconds=10.0, time=0.0, imported=False):
    return CompactLabel(task, annotator, answer, shown, seconds, time, imported)


def state(task, answers=0, wanted=1, skipped=0, held=0, order=None):
    order = task if order is None else order
    return SimpleNamespace(id=task, order=order, answers=answers, wanted=wanted, skipped=skipped, held=held)


def test_wilsons_interval_is_the_published_one():
    found = share_of(8, 10)
    assert (found.mean, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)
    none_right = share_of(0, 10)
    assert (none_right.low, round(none_right.high, 4)) == (0.0, 0.2775)
    assert share_of(0, 0) is None
    with pytest.raises(ConfigError):
        share_of(3, 2)


@given(st.integers(1, 500), st.data(), st.sampled_from([0.5, 0.9, 0.99]))
def test_wilsons_interval_holds_the_share_and_mirrors(n, data, level):
    count = data.draw(st.integers(0, n))
    found, mirrored = share_of(count, n, level), share_of(n - count, n, level)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high)


def test_counts_tell_done_in_hand_begun_and_untouched_tasks():
    tasks = asked(*[pair(number) for number in range(6)], pair(6, gold=FIRST))
    states = [
        state(0, answers=2, wanted=2),
        state(1, answers=1, wanted=2, held=1),
        state(2, answers=1, wanted=2),
        state(3, wanted=2, skipped=1),
        state(4, wanted=2),
        state(5, answers=3, wanted=3, held=1),
        state(6, answers=5, wanted=0),
    ]
    said = [
        says(0, "ann", FIRST, time=0.0),
        says(1, "ann", FIRST, time=7000.0),
        says(2, "ann", TIE, time=7200.0),
        says(3, "ann", None, time=7200.0),
        says(6, "ann", FIRST, time=7200.0),
        says(5, "bob", FIRST, time=7200.0, imported=True),
    ]
    counts = counts_of(states, said, tasks, now=7200.0)
    assert (counts.done, counts.in_hand, counts.begun, counts.untouched, counts.checks) == (2, 1, 2, 1, 1)
    assert (counts.tasks, counts.answers, counts.wanted, counts.skips) == (6, 7, 13, 1)
    assert counts.per_hour == 2  # two in the last hour; a check, a skip and an import are none
    assert counts.hours_left == 3


def test_a_speed_is_told_since_the_first_answer_and_not_before_a_minute():
    tasks = asked(pair(0), pair(1))
    said = [says(0, "ann", FIRST, time=100.0), says(1, "ann", FIRST, time=400.0)]
    assert counts_of([], said, tasks, now=700.0).per_hour == 12  # two in ten minutes
    assert counts_of([], said[:1], tasks, now=130.0).per_hour is None
    assert counts_of([], said, tasks, now=90000.0).per_hour is None


def test_an_annotators_checks_sides_and_time():
    tasks = asked(pair(0), pair(1), pair(2), pair(3, gold=FIRST), pair(4, gold=TIE), pair(5))
    said = [
        says(0, "ann", FIRST, shown=(0, 1), seconds=4.0),  # saw first on the left: left
        says(1, "ann", FIRST, shown=(1, 0), seconds=6.0),  # right
        says(2, "ann", SECOND, shown=(1, 0), seconds=8.0),  # left
        says(3, "ann", SECOND, shown=(0, 1), seconds=100.0),  # a check got wrong, on the right
        says(4, "ann", TIE, seconds=0.0),  # right, told without a time
        says(5, "ann", None),
        says(0, "bob", None),
    ]
    ann, bob, new = annotator_numbers(said, tasks, names=["new", "ann"])
    assert (ann.name, ann.answers, ann.skips, ann.seconds) == ("ann", 3, 1, 7.0)
    assert (ann.checks.count, ann.checks.n) == (1, 2)
    assert (ann.shown_first.count, ann.shown_first.n) == (2, 4)
    assert (bob.name, bob.answers, bob.skips) == ("bob", 0, 1)
    assert (new.name, new.answers, new.seconds, new.checks, new.shown_first) == ("new", 0, None, None, None)


def test_a_label_that_does_not_say_what_was_shown_first_tells_no_leaning():
    tasks = asked(pair(0), pair(1))
    said = [says(0, "ann", FIRST, shown=(), imported=True), says(1, "ann", FIRST)]
    (ann,) = annotator_numbers(said, tasks)
    assert (ann.answers, ann.shown_first.n) == (2, 1)


def test_alpha_of_choices_is_krippendorffs():
    """Two annotators on 20 comparisons: FF, FF, SS, FS five times over, and one check.

    Of the 40 values 25 are F and 15 S; disagreement is 10 in 40, by chance it were 2*25*15 in 40*39.
    """
    tasks = asked(*[pair(number) for number in range(20)], pair(20, gold=FIRST))
    votes = 5 * [(FIRST, FIRST), (FIRST, FIRST), (SECOND, SECOND), (FIRST, SECOND)] + [(FIRST, SECOND)]
    said = [
        says(task, name, answer)
        for task, answers in enumerate(votes)
        for name, answer in zip("ab", answers, strict=True)
    ]
    percent, alpha = people_agreement(by_task(said, tasks), tasks, QUICK)
    assert (percent.of, percent.found.value, percent.found.n) == ("better answer", 0.75, 20)
    assert alpha.found.value == pytest.approx(1 - (10 / 40) / (750 / 1560))
    assert alpha.found.low < alpha.found.value < alpha.found.high


def test_agreement_says_why_there_is_none():
    tasks = asked(pair(0), pair(1))
    alone = people_agreement(by_task([says(0, "a", FIRST), says(1, "b", FIRST)], tasks), tasks, QUICK)
    assert {(one.found, one.why) for one in alone} == {(None, NOBODY_TWICE)}
    alike = [says(task, name, FIRST) for task in (0, 1) for name in "ab"]
    percent, alpha = people_agreement(by_task(alike, tasks), tasks, QUICK)
    assert (percent.found.value, percent.why) == (1.0, "")
    assert (alpha.found.value, alpha.why) == (None, UNDEFINED)


def test_agreement_is_read_up_to_the_first_task_that_two_are_still_to_see():
    """In random order 3, 0, 1, 2, 4: 1 is with its second annotator, so that 2 may be one brought forward."""
    tasks = asked(*(pair(number) for number in range(5)), pair(5, gold=FIRST))
    said = [says(task, who, FIRST) for task in (0, 2, 3, 4, 5) for who in ("ann", "bob", "cleo")]
    said += [says(1, "ann", FIRST)]
    answers = by_task(said, tasks)
    order = {3: 0, 0: 1, 1: 2, 2: 3, 4: 4, 5: 5}

    def states(**one):
        full = {number: {"answers": 3, "wanted": 2} for number in order} | {1: {"wanted": 2, **one}}
        return [state(number, order=order[number], **told) for number, told in full.items()]

    held = answered_twice(states(answers=1, held=1), answers, tasks, 2)
    assert {task: len(told) for task, told in held.items()} == {3: 2, 0: 2}
    # Whoever skipped it has seen it, as long as nobody else has it in hand.
    skipped = answered_twice(states(answers=1, skipped=1), answers, tasks, 2)
    assert {task: len(told) for task, told in skipped.items()} == {3: 2, 0: 2, 1: 1, 2: 2, 4: 2}
    assert answered_twice(states(answers=1, skipped=1, held=1), answers, tasks, 2) == held
    # No second answer is asked for, so that none was brought forward.
    assert answered_twice(states(answers=1), answers, tasks, 1).keys() == {0, 1, 2, 3, 4}


def test_agreement_on_steps_is_of_steps_that_both_labelled_and_of_the_first_error():
    task = Task("steps", "p", ("abc",), steps=("a", "b", "c"))
    tasks = asked(task, task)
    right, wrong = StepsAnswer(("positive",) * 3), StepsAnswer(("positive", "negative", None))
    said = [says(0, "a", right), says(0, "b", wrong), says(1, "a", wrong), says(1, "b", wrong)]
    found = {
        (one.of, one.coefficient): one.found for one in people_agreement(by_task(said, tasks), tasks, QUICK)
    }
    each = found["each step", "percent agreement"]
    assert (each.n, each.value) == (4, 0.75)  # the third step of the first was labelled by one alone
    assert found["first error", "percent agreement"].value == 0.5


def test_agreement_on_rankings_is_of_each_two_and_a_tie_lies_halfway():
    task = Task("ranking", "p", ("x", "y", "z"), systems=("A", "B", "C"))
    tasks = asked(task)
    said = [says(0, "a", RankingAnswer((1, 2, 3))), says(0, "b", RankingAnswer((1, 3, 2)))]
    percent, _ = people_agreement(by_task(said, tasks), tasks, QUICK)
    assert (percent.of, percent.found.n, percent.found.value) == (
        "order of each two",
        3,
        pytest.approx(2 / 3),
    )


def test_agreement_on_spans_is_of_each_aspect_being_there():
    task = Task("spans", "p", ("some text",), aspects=("false", "+clear"))
    tasks = asked(task, task)
    false, nothing = SpansAnswer((Span(0, 4, "false", 0.0),)), SpansAnswer(())
    elsewhere = SpansAnswer((Span(5, 9, "false", 0.0),))
    said = [says(0, "a", false), says(0, "b", elsewhere), says(1, "a", false), says(1, "b", nothing)]
    found = {(one.of, one.coefficient): one for one in people_agreement(by_task(said, tasks), tasks, QUICK)}
    assert found["false is there", "percent agreement"].found.value == 0.5
    assert found["+clear is there", "percent agreement"].found.value == 1.0
    assert found["+clear is there", "Krippendorff's alpha"].why == UNDEFINED


def test_the_most_split_come_first():
    tasks = asked(*[pair(number) for number in range(4)], pair(4, gold=FIRST))
    votes = {
        0: (FIRST, FIRST),
        1: (FIRST, TIE),
        2: (FIRST, FIRST, SECOND),
        3: (FIRST, SECOND),
        4: (FIRST, TIE),
    }
    said = [
        says(task, str(number), answer)
        for task, answers in votes.items()
        for number, answer in enumerate(answers)
    ]
    found = splits_of(by_task(said, tasks), tasks)
    assert [(one.task_id, one.answers) for one in found] == [(3, 2), (2, 3), (1, 2)]
    assert [one.apart for one in found] == [1.0, pytest.approx(2 / 3), 0.5]


def test_how_far_rankings_steps_and_spans_are_apart():
    ranking = Task("ranking", "p", ("x", "y", "z"))
    steps = Task("steps", "p", ("ab",), steps=("a", "b"))
    spans = Task("spans", "p", ("some text",), aspects=("false", "vague"))
    tasks = asked(ranking, steps, spans)
    said = [
        says(0, "a", RankingAnswer((1, 2, 3))),
        says(0, "b", RankingAnswer((1, 1, 3))),
        says(1, "a", StepsAnswer(("positive", "negative"))),
        says(1, "b", StepsAnswer(("positive", "positive"))),
        says(2, "a", SpansAnswer((Span(0, 4, "false", 0.0),))),
        says(2, "b", SpansAnswer(())),
    ]
    apart = {one.task_id: one.apart for one in splits_of(by_task(said, tasks), tasks)}
    assert apart == {0: pytest.approx(0.5 / 3), 1: 0.5, 2: 0.5}


def test_what_is_measured_is_a_settled_prefix_by_systems_and_the_first_answers():
    tasks = asked(
        pair(0), pair(1), pair(2), pair(3), pair(4, gold=FIRST),
        pair(5, systems=("A", "C")), pair(6, systems=("B", "A")),
    )  # fmt: skip
    states = [
        state(0, answers=3, order=10),
        state(1, skipped=1, order=20),
        state(2, answers=0, held=1, order=40),
        state(3, answers=1, order=50),  # answered early; behind one that is still in somebody's hands
        state(4, answers=9, wanted=0, order=0),
        state(5, answers=1, order=60),
        state(6, answers=1, order=30),
    ]
    answers = {0: [1, 2, 3], 3: [4], 5: [5], 6: [6]}
    same, other = measured(states, answers, tasks, overlap=2)
    assert (same.systems, same.tasks, same.sample) == (("A", "B"), 5, (0, 1, 6))
    assert same.answers == {0: [1, 2], 6: [6]}
    assert (other.systems, other.tasks, other.sample) == (("A", "C"), 1, (5,))


def test_a_skipped_task_that_another_holds_is_not_settled():
    (group,) = measured([state(0, skipped=1, held=1)], {}, asked(pair(0)), overlap=1)
    assert group.sample == ()


def test_the_table_of_best_of_k():
    """Two tasks; on the first two people choose A and B, on the second one chooses A."""
    first = Task("best", "p0", ("x", "y", "z"), systems=("A", "B", "C"))
    second = Task("best", "p1", ("x", "y", "z"), systems=("C", "A", "B"))
    tasks = asked(first, second)
    said = [
        says(0, "a", BestAnswer(0, (5, 3, 1))),
        says(0, "b", BestAnswer(1, (3, 5, 1))),
        says(1, "a", BestAnswer(1, (2, 5, 4))),
    ]
    states = [state(0, answers=2), state(1, answers=1)]
    (group,) = measured(states, by_task(said, tasks), tasks, overlap=2)
    found = {one.system: one for one in system_qualities(group, tasks, QUICK)}
    assert {name: one.best.mean for name, one in found.items()} == {"A": 0.75, "B": 0.25, "C": 0.0}
    assert {name: one.quality.mean for name, one in found.items()} == {"A": 4.5, "B": 4.0, "C": 1.5}
    assert all(
        1 <= one.quality.low <= one.quality.mean <= one.quality.high <= 5
        for one in found.values()
        if one.quality.low
    )
    assert found["C"].best.high > 0.3  # never chosen in two tasks is no proof that it never is
    assert list(found) == ["A", "B", "C"]


def test_those_who_share_the_first_rank_share_the_task():
    task = Task("ranking", "p", ("x", "y", "z"), systems=("A", "B", "C"))
    tasks = asked(task)
    answers = by_task([says(0, "a", RankingAnswer((1, 1, 3)))], tasks)
    (group,) = measured([state(0, answers=1)], answers, tasks, overlap=1)
    found = {one.system: (one.best.mean, one.quality) for one in system_qualities(group, tasks, QUICK)}
    assert found == {"A": (0.5, None), "B": (0.5, None), "C": (0.0, None)}


def test_answers_in_words():
    four = Task("ranking", "p", ("w", "x", "y", "z"), systems=("S", "T", "U", ""))
    assert answer_words(four, RankingAnswer((3, 1, 1, 4))) == "B · T = C · U > A · S > D"
    steps = Task("steps", "p", ("ab",), steps=("a", "b"))
    assert answer_words(steps, StepsAnswer(("positive", "negative"))) == "step 2 is wrong"
    assert answer_words(steps, StepsAnswer(("positive", "neutral"))) == "no step is wrong"
    spans = Task("spans", "p", ("some text",), aspects=("false",))
    marked = SpansAnswer((Span(5, 9, "false", 0.0),), ("the year",))
    assert answer_words(spans, marked) == "false: “text”; missing: “the year”"
    assert answer_words(pair(0), TIE) == "a tie"
    assert answer_words(pair(0), SECOND) == "B · B is better"
    assert answer_words(pair(0), None) == "skipped it"


def test_bars_and_times_in_words():
    assert (bar(0.5, 0.4, 0.6).text, bar(0.5, 0.4, 0.6).interval) == ("50%", "40% to 60%")
    assert bar(0.512, 0.5, 0.53).text == "51.2%"
    assert (bar(3.0, 2.0, 4.0, (1.0, 5.0)).low, bar(3.0, ends=(1.0, 5.0)).mean) == (25.0, 50.0)
    assert bar(-0.2, -0.5, 0.3, (0.0, 1.0)).mean == 0.0
    assert [duration(seconds) for seconds in (None, 7, 300, 7200, 864000)] == [
        "-",
        "7 s",
        "5 min",
        "2 h",
        "10 days",
    ]


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e"


class Study:
    """A made-up study of hostile texts, read as the pages read a store."""

    def __init__(self, count=12):
        self.all = [
            Task(
                "pairwise",
                f"{number} {HOSTILE}",
                (HOSTILE, f"two {number}"),
                systems=("<b>A</b>", "B"),
                id=HOSTILE,
            )
            for number in range(count)
        ]
        self.told = [
            Label(number, task, name, answer, (0, 1), HOSTILE, 3.0, 0.0, f"{name}{number}")
            for number, task in enumerate(self.all)
            for name, answer in (("<i>ann</i>", FIRST), ("bob", SECOND))
        ]

    def tasks(self, ids=None):
        return ((number, self.all[number]) for number in ids)

    def labels(self, task_ids=None):
        return (label for label in self.told if label.task_id in task_ids)

    def judge_words(self, prompt, responses):
        assert comparison_digest(prompt, responses) == comparison_digest(prompt, responses[::-1])
        return [JudgeWord("openai:m", text_digest(responses[1])), JudgeWord("tied", None)]

    def __call__(self):
        tasks = asked(*self.all)
        said = [compact_label(label) for label in self.told]
        answers = by_task(said, tasks)
        states = [state(number, answers=2, wanted=2) for number in tasks]
        return Numbers(
            title=HOSTILE,
            time=0.0,
            counts=counts_of(states, said, tasks, 0.0),
            annotators=annotator_numbers(said, tasks),
            agreement=tuple(people_agreement(answers, tasks, QUICK)),
            compared=(),
            qualities=(),
            splits=tuple(splits_of(answers, tasks)),
            notes=("a note",),
            width=0.03,
            level=0.95,
            judged=False,
        )


@pytest.fixture(scope="module")
def pages():
    from judges.human.web import page

    study = Study()
    admin = AdminPage(study, study)
    read = page.environment().get_template
    return {
        "admin": read("admin.html").render(admin.overview()),
        "numbers": read("numbers.html").render(admin.overview()),
        "disagreements": read("disagreements.html").render(admin.disagreements(1)),
    }


def test_the_pages_hold_nothing_that_a_strict_policy_refuses_nor_any_markup_of_others(pages):
    for html in pages.values():
        assert not re.search(
            r"<(script(?! type=\"module\" src=)|img|style|i>|b>)|\sstyle=|\son\w+=\"|javascript:", html
        )
    assert "&lt;script&gt;alert(1)" in pages["disagreements"]
    assert "&lt;i&gt;ann&lt;/i&gt;" in pages["numbers"]
    assert pages["numbers"].strip() in pages["admin"]


def test_every_table_has_a_caption_and_the_bars_are_hidden_from_screen_readers(pages):
    for html in pages.values():
        assert html.count("<table") == html.count("<caption>")
        assert html.count("<svg") == html.count('aria-hidden="true"')


def test_the_disagreements_say_who_said_what_and_who_wrote_it(pages):
    html = pages["disagreements"]
    assert html.count("<article") == PER_PAGE
    assert "A · &lt;b&gt;A&lt;/b&gt; is better" in html
    assert "B · B is better" in html
    assert "openai:m" in html
    assert "Page 1 of 2" in html


def test_steps_tell_who_called_each_what_and_who_wrote_them():
    from judges.human.web import page

    study = Study(1)
    study.all = [Task("steps", "p", ("ab",), steps=("a", "b"), systems=("DPO",), id="s")]
    answers = (StepsAnswer(("positive", "negative")), StepsAnswer(("positive", "positive")))
    study.told = [
        Label(0, study.all[0], name, answer, (0,), "", 3.0, 0.0, name)
        for name, answer in zip(("ann", "bob"), answers, strict=True)
    ]
    context = AdminPage(study, study).disagreements(1)
    (item,) = context["items"]
    assert [step["said"] for step in item["steps"]] == [
        {"ann": "positive", "bob": "positive"},
        {"ann": "negative", "bob": "positive"},
    ]
    html = page.environment().get_template("disagreements.html").render(context)
    assert "DPO" in html
    assert "mark-negative" in html


def test_a_page_that_there_is_not_is_the_nearest():
    study = Study()
    admin = AdminPage(study, study)
    assert admin.disagreements(99)["page"] == 2
    assert len(admin.disagreements(2)["items"]) == 2
    nothing = AdminPage(Study(0), Study(0)).disagreements(1)
    assert (nothing["page"], nothing["pages"], nothing["items"]) == (1, 1, [])
