"""The store of labels, on SQLite and on PostgreSQL: what is given, kept, taken back, carried, and told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from judges.human.answers import (
    AnswerError,
    BestAnswer,
    PairwiseAnswer,
    RankingAnswer,
    SpansAnswer,
    StepsAnswer,
    as_payload,
    as_shown,
)
from judges.human.labels import AnnotatorProgress, Label, Posted
from judges.human.store import (
    Added,
    AlreadyAnsweredError,
    NonceReusedError,
    NotGivenError,
    Store,
)
from judges.human.study import Study
from judges.human.tasks import Task
from rewards.errors import ConfigError, DataError, EvalkitError, MissingFileError
from rewards.records import Message, Span
from tests.judges.human.label_store import DATABASES, Clock, annotate, answer, database, pairs, people


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    with Store(url, clock) as store:
        yield store


def test_tasks_are_added_once_and_come_out_as_they_went_in(store: Store) -> None:
    odd = Task(
        "best", (Message("user", "NUL \0, half a pair \ud800, عربى"),), ("a", "b", "c"),
        systems=("x", "y", "z"), axis="harmless", id="odd", extra={"deep": [1, {"x": None}]}, priority=0.25,
    )  # fmt: skip
    tasks = [*pairs(3), odd]
    assert store.add_tasks(iter([*tasks, tasks[0]])) == Added(4, 1)
    assert store.add_tasks(replace(task, priority=1.0) for task in tasks) == Added(0, 4)
    kept = dict(store.tasks())
    assert list(kept.values()) == tasks
    assert store.find([task.key for task in tasks[:2]] + ["nobody's"]) == {
        task.key: task_id for task_id, task in list(kept.items())[:2]
    }
    assert [task for _, task in store.tasks(list(kept)[1:3])] == tasks[1:3]


def test_two_hold_a_task_only_where_two_are_wanted(store: Store) -> None:
    store.add_tasks(pairs(2))
    ann, bob, eve = people(store, "ann", "bob", "eve")
    held = [store.next_task(one) for one in (ann, bob)]
    assert {given.task_id for given in held if given} == {task_id for task_id, _ in store.tasks()}
    assert store.next_task(eve) is None
    assert store.waiting(eve)
    store.set_study(Study(overlap=2))
    assert store.next_task(eve) is not None
    assert store.next_task(ann) == held[0], "the task in hand stays, reload or not"


def test_a_lease_that_runs_out_gives_the_task_to_another(store: Store, clock: Clock) -> None:
    store.set_study(Study(lease=100))
    store.add_tasks(pairs(1))
    ann, bob = people(store, "ann", "bob")
    first = store.next_task(ann)
    assert first is not None
    clock.now += 99
    assert store.next_task(bob) is None
    assert store.record(ann, first.handle, Posted("draft", "d", {"winner": None})) == "recorded"
    clock.now += 99
    assert store.next_task(bob) is None, "a draft is a sign of life"
    clock.now += 2
    other = store.next_task(bob)
    assert other is not None
    assert other.task_id == first.task_id
    assert other.handle != first.handle
    assert store.next_task(ann) is None, "what another has taken is not given back"
    assert store.record(ann, first.handle, Posted("draft", "e", {"winner": "tie"})) == "recorded"
    clock.now += 101
    assert store.record(ann, first.handle, answer(first, "late")) == "recorded"
    assert store.record(bob, other.handle, answer(other, "later", "second")) == "recorded"
    assert [(label.annotator, label.answer) for label in store.labels()] == [
        ("ann", PairwiseAnswer("first")), ("bob", PairwiseAnswer("second"))
    ]  # fmt: skip


def test_a_lease_that_ran_out_is_taken_up_again_where_nobody_has_the_task(store: Store, clock: Clock) -> None:
    store.add_tasks(pairs(1))
    ann, bob = people(store, "ann", "bob")
    first = store.next_task(ann)
    clock.now += 1e6
    assert store.next_task(ann) == first
    assert store.next_task(bob) is None


def test_what_is_sent_twice_counts_once(store: Store) -> None:
    store.add_tasks(pairs(3))
    ann, bob = people(store, "ann", "bob")
    given, others = store.next_task(ann), store.next_task(bob)
    assert given is not None
    assert others is not None
    post = answer(given, "n")
    assert store.record(ann, given.handle, post) == "recorded"
    assert store.record(ann, given.handle, replace(post, seconds=9.0)) == "repeated"
    with pytest.raises(NonceReusedError):
        store.record(ann, given.handle, replace(post, comment="other"))
    with pytest.raises(NonceReusedError):
        store.undo(ann, "n")
    with pytest.raises(AlreadyAnsweredError):
        store.record(ann, given.handle, Posted("skip", "n2"))
    assert store.record(bob, others.handle, answer(others, "n")) == "recorded", "nonces are each one's own"
    assert [label.nonce for label in store.labels()] == ["n", "n"]
    assert store.last_event() == 2


def test_a_forged_handle_and_anothers_are_refused_alike(store: Store) -> None:
    store.add_tasks(pairs(2))
    ann, bob = people(store, "ann", "bob")
    given = store.next_task(ann)
    assert given is not None
    told = set()
    for wrong in (given.handle, "", "no\0body", "x" * 10_000, "é", "0" * 32):
        with pytest.raises(NotGivenError) as caught:
            store.record(bob, wrong, answer(given, "n"))
        told.add(str(caught.value))
    assert len(told) == 1
    assert store.last_event() == 0


NO_ANSWERS = (
    Posted("answer", "n"), Posted("answer", "n", {"winner": "third"}), Posted("answer", "n", {"best": 0}),
    Posted("skip", "n", {"winner": "first"}), Posted("answer", "", {"winner": "first"}),
    Posted("answer", "a b", {"winner": "first"}), Posted("answer", "n", {"winner": "tie"}, "x" * 10_001),
    Posted("answer", "n", {"winner": "tie"}, seconds=float("nan")),
    Posted("answer", "n", {"winner": "tie"}, seconds=-1.0),
    Posted("undo", "n"),  # type: ignore[arg-type] # what a page might send
)  # fmt: skip


def test_what_is_no_answer_leaves_no_trace(store: Store) -> None:
    store.add_tasks(pairs(1))
    (ann,) = people(store, "ann")
    given = store.next_task(ann)
    assert given is not None
    for post in NO_ANSWERS:
        with pytest.raises(AnswerError):
            store.record(ann, given.handle, post)
    assert store.last_event() == 0
    assert store.record(ann, given.handle, answer(given, "n")) == "recorded"


def test_undo_goes_back_step_by_step_and_brings_back_what_was_said(store: Store) -> None:
    store.add_tasks(pairs(4))
    (ann,) = people(store, "ann")
    given = []
    for n in range(3):
        task = store.next_task(ann)
        assert task is not None
        given.append(task)
        post = Posted("skip", f"n{n}", comment="unsure") if n == 2 else answer(task, f"n{n}", "second")
        store.record(ann, task.handle, post)
    assert store.undo(ann, "u1") == "recorded"
    assert store.undo(ann, "u1") == "repeated"
    again = store.next_task(ann)
    assert again == replace(given[2], draft={"answer": None, "comment": "unsure", "seconds": 0.0})
    assert store.undo(ann, "u2") == "recorded"
    again = store.next_task(ann)
    assert again is not None
    assert again.task_id == given[1].task_id, "the last one taken back comes first"
    assert dict(again.draft) == {
        "answer": answer(given[1], "", "second").answer, "comment": "why", "seconds": 1.0
    }  # fmt: skip
    assert [label.nonce for label in store.labels()] == ["n0"]
    store.record(ann, again.handle, answer(again, "n3", "tie"))
    again = store.next_task(ann)
    assert again is not None
    assert again.task_id == given[2].task_id, "then the one before it"
    assert [(label.task_id, label.nonce) for label in store.labels()] == [
        (given[0].task_id, "n0"), (given[1].task_id, "n3")
    ]  # fmt: skip
    assert [store.undo(ann, f"v{n}") for n in range(3)] == ["recorded", "recorded", "nothing"]
    assert store.progress(ann) == AnnotatorProgress(0, 0, 4)
    kinds = [event["kind"] for event in store.events()]
    assert kinds == ["answer", "answer", "skip", "undo", "undo", "answer", "undo", "undo"]


def test_the_latest_draft_is_brought_back(store: Store) -> None:
    store.add_tasks(pairs(1))
    (ann,) = people(store, "ann")
    given = store.next_task(ann)
    assert given is not None
    assert given.draft == {}
    for n, half in enumerate(({"winner": None}, {"anything": [1]})):
        store.record(ann, given.handle, Posted("draft", f"d{n}", half, f"note {n}", n))
    again = store.next_task(ann)
    assert again is not None
    assert dict(again.draft) == {"answer": {"anything": [1]}, "comment": "note 1", "seconds": 1}
    assert list(store.labels()) == []


EACH_SCREEN = (
    (Task("pairwise", "p", ("a", "b")), PairwiseAnswer("second")),
    (Task("best", "p", ("a", "b", "c", "d")), BestAnswer(2, (1, 2, 5, 4))),
    (Task("ranking", "p", ("a", "b", "c", "d")), RankingAnswer((2, 4, 1, 2))),
    (Task("steps", "p", ("ab",), steps=("a", "b")), StepsAnswer(("negative", None))),
    (Task("spans", "p", ("abc",), aspects=("wrong",)), SpansAnswer((Span(0, 2, "wrong", 0.0),), ("more",))),
)


def test_answers_are_told_as_the_task_is_whoever_saw_what(store: Store) -> None:
    store.set_study(Study(overlap=6))
    store.add_tasks(task for task, _ in EACH_SCREEN)
    said = {task_id: EACH_SCREEN[n][1] for n, (task_id, _) in enumerate(store.tasks())}
    for one in people(store, *"abcdef"):
        while given := store.next_task(one):
            payload = as_payload(as_shown(said[given.task_id], given.shown))
            store.record(one, given.handle, Posted("answer", f"n{given.task_id}", payload))
    for task_id, task in store.tasks():
        labels = list(store.labels([task_id]))
        assert [label.answer for label in labels] == [said[task_id]] * 6
        assert (len({label.shown for label in labels}) > 1) == (len(task.responses) > 1)


def test_planted_checks_come_to_all_and_are_no_part_of_the_count(store: Store) -> None:
    store.set_study(Study(gold_every=2))
    checks = [replace(task, id=f"check {task.id}", gold=PairwiseAnswer("first")) for task in pairs(2)]
    store.add_tasks([*pairs(6), *checks])
    ann, bob = people(store, "ann", "bob")
    for one in (ann, bob):
        list(annotate(store, one, 4))
        gold = [label for label in store.labels() if label.annotator == one.name and label.task.gold]
        assert len(gold) == 2
    assert store.progress(ann) == AnnotatorProgress(4, 4, 6)
    assert len(list(annotate(store, ann))) == 2
    assert store.next_task(bob) is None
    assert not store.waiting(bob)


def test_people_who_do_not_say_the_same_are_joined_by_one_more(store: Store) -> None:
    store.set_study(Study(overlap=2, tiebreak=1))
    store.add_tasks(pairs(1))
    everybody = people(store, "ann", "bob", "eve", "zoe")
    for one, winner in zip(everybody, ("first", "second", "first"), strict=False):
        given = store.next_task(one)
        assert given is not None
        store.record(one, given.handle, answer(given, "n", winner))
    assert store.next_task(everybody[3]) is None
    assert store.progress(everybody[0]) == AnnotatorProgress(1, 3, 3)
    store.undo(everybody[1], "u")
    assert store.progress(everybody[0]) == AnnotatorProgress(1, 2, 2), "the two that are left agree"


def test_nobody_answers_more_than_the_most(store: Store) -> None:
    store.set_study(Study(most=2))
    store.add_tasks(pairs(5))
    (ann,) = people(store, "ann")
    assert len(list(annotate(store, ann))) == 2
    assert not store.waiting(ann)


def test_the_most_needed_comes_first_and_a_skipped_task_goes_to_another(store: Store) -> None:
    store.set_study(Study(needed_every=1))
    store.add_tasks(replace(task, priority=n / 10) for n, task in enumerate(pairs(5)))
    ann, bob = people(store, "ann", "bob")
    for place in (4, 3):
        given = store.next_task(ann)
        assert given is not None
        assert given.task.id == str(place)
        store.record(ann, given.handle, Posted("skip", f"n{place}"))
    given = store.next_task(bob)
    assert given is not None
    assert given.task.id == "4"
    assert [state.skipped for state in store.task_states()] == [0, 0, 0, 1, 1]
    assert [state.held for state in store.task_states()] == [0, 0, 0, 0, 1]


def test_a_priority_told_later_counts_and_one_out_of_range_changes_nothing(store: Store) -> None:
    store.set_study(Study(needed_every=1))
    store.add_tasks(pairs(3))
    ids = {task.id: number for number, task in store.tasks()}
    assert store.prioritise([(ids["1"], 0.5), (ids["2"], 0.25)]) == 2
    with pytest.raises(DataError, match="priority"):
        store.prioritise([(ids["0"], 1.0), (ids["1"], 1.5)])
    given = store.next_task(people(store, "ann")[0])
    assert given is not None
    assert given.task.id == "1"


def test_a_link_that_was_renewed_is_dead_at_once(store: Store, url: str) -> None:
    made = store.invite("ann")
    assert made.token is not None
    assert made.token not in repr(made)
    assert store.invite("ann").token is None
    assert store.sign_in(made.annotator.id, made.token) == made.annotator
    again = store.renew("ann")
    assert again.token is not None
    assert store.sign_in(made.annotator.id, made.token) is None
    assert store.sign_in(made.annotator.id, again.token) == made.annotator
    others = store.invite("bob")
    assert others.token is not None
    assert store.sign_in(made.annotator.id, others.token) is None
    for number in (0, -1, 3, 2**70):
        assert store.sign_in(number, again.token) is None
    with pytest.raises(ConfigError, match="nobody"):
        store.renew("nobody")
    with Store(url) as elsewhere:
        assert elsewhere.annotators() == [made.annotator, others.annotator]


def test_a_name_that_cannot_be_told_is_refused(store: Store) -> None:
    for name in ("", " ", "a\nb", "\0", "x" * 201, "\u202eann"):
        with pytest.raises(ConfigError, match="name"):
            store.invite(name)
    assert store.annotators() == []


def test_settings_hold_from_now_on_and_change_what_is_wanted(store: Store, url: str) -> None:
    store.add_tasks(pairs(3))
    (ann,) = people(store, "ann")
    list(annotate(store, ann))
    orders = [state.order for state in store.task_states()]
    study = Study(seed=5, overlap=3, title="Wörter", instructions="# Hm\0")
    store.set_study(study)
    store.set_study(study)
    with Store(url) as elsewhere:
        assert elsewhere.study() == study
    assert store.progress(ann) == AnnotatorProgress(3, 3, 9)
    assert all(a != b.order for a, b in zip(orders, store.task_states(), strict=True))


def test_labels_are_carried_to_another_store_once(store: Store, tmp_path: Path, clock: Clock) -> None:
    store.set_study(Study(overlap=2))
    store.add_tasks(pairs(700))
    ann, bob = people(store, "ann", "bob")
    list(annotate(store, ann, 12))
    list(annotate(store, bob, 4))
    labels = list(store.labels())
    with Store(str(tmp_path / "other.db"), clock) as other:
        # There each task was given the other way round.
        turned = [replace(task, responses=task.responses[::-1]) for task in pairs(700)]
        other.add_tasks(turned)
        (elsewhere,) = people(other, "bob")
        assert other.import_labels(iter(labels)) == Added(16, 0)
        assert other.import_labels(labels) == Added(0, 16)
        carried = list(other.labels())
        assert [label.nonce for label in carried] == [label.nonce for label in labels]
        assert {label.answer for label in carried} == {PairwiseAnswer("second")}
        assert [[1 - place for place in label.shown] for label in carried] == [list(a.shown) for a in labels]
        assert all(label.imported for label in carried)
        again = [replace(label, nonce=f"x{label.nonce}") for label in carried]
        assert other.import_labels(again) == Added(0, 0, kept=16)
        assert other.undo(elsewhere, "u") == "nothing", "what was said elsewhere is not taken back here"
        assert other.invite("ann").token is not None, "who came with labels has no link yet"
        assert store.import_labels(carried) == Added(0, 16)
        one = labels[0].task_id
        assert {label.task_id for label in store.labels([one, one])} == {one}


def test_labels_without_tasks_or_nonces_can_be_carried_too(store: Store) -> None:
    task = pairs(1)[0]
    label = Label(0, task, "ann", PairwiseAnswer("tie"), (1, 0), "", 0.0, 7.0, "")
    assert store.import_labels([label, label]) == Added(1, 1)
    kept = list(store.labels())
    assert [(one.task, one.answer, one.time) for one in kept] == [(task, PairwiseAnswer("tie"), 7.0)]
    wrong = replace(label, task=pairs(2)[1], answer=BestAnswer(5))
    with pytest.raises(DataError):
        store.import_labels([wrong])
    assert len(list(store.tasks())) == 1, "nothing of a batch that is refused is kept"


def test_a_task_in_hand_is_let_go_where_its_label_is_imported(store: Store) -> None:
    store.add_tasks(pairs(1))
    (ann,) = people(store, "ann")
    given = store.next_task(ann)
    assert given is not None
    store.import_labels([Label(0, given.task, "ann", None, given.shown, "", 0.0, 7.0, "n")])
    with pytest.raises(AlreadyAnsweredError):
        store.record(ann, given.handle, answer(given, "m"))


def test_a_store_that_is_not_there_is_only_made_where_it_may_be(url: str) -> None:
    with pytest.raises(MissingFileError, match="evalkit annotate"):
        Store(url, create=False)
    if "://" not in url:
        assert not Path(url).exists()
    Store(url).close()
    Store(url, create=False).close()


def test_every_error_is_one_that_the_command_line_tells() -> None:
    for kind in (NotGivenError, NonceReusedError, AlreadyAnsweredError):
        assert issubclass(kind, EvalkitError)
