"""Random histories of a store of labels, held against a model in plain Python after each step."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from judges.human.answers import PairwiseAnswer
from judges.human.labels import Annotator, Given, Label, Posted
from judges.human.store import Store
from judges.human.study import Study
from tests.judges.human.label_store import DATABASES, Clock, answer, database, execute, pairs, people

LEASE = 50.0
CACHES = (
    "SELECT id, answers, skipped, wanted, open FROM label_tasks ORDER BY id",
    "SELECT annotator, task, event, skip, said FROM label_standing ORDER BY event",
    "SELECT answers, wanted FROM label_store",
    "SELECT id, expires FROM label_assignments ORDER BY id",
)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


@dataclass
class Model:
    """What must be true of the store, told as plainly as can be."""

    gold: set[int]
    proper: set[int]
    study: Study
    clock: Clock
    standing: list[tuple[int, int, str | None, bool]] = field(default_factory=list)
    """Annotator, task, winner or None for a skip, and whether it was imported; as they came."""
    hands: dict[int, list[int]] = field(default_factory=dict)
    """By annotator the tasks in hand, the latest last."""
    leases: dict[tuple[int, int], float] = field(default_factory=dict)

    def wanted(self, task: int) -> int:
        said = [winner for _, at, winner, _ in self.standing if at == task and winner is not None]
        first = said[: self.study.overlap]
        split = len(first) == self.study.overlap and len(set(first)) > 1
        return self.study.overlap + (self.study.tiebreak if split else 0)

    def room(self, me: int, task: int) -> bool:
        if task in self.gold:
            return True
        answers = sum(at == task and winner is not None for _, at, winner, _ in self.standing)
        held = sum(
            at == task and who != me and until > self.clock.now and at in self.hands[who]
            for (who, at), until in self.leases.items()
        )
        return answers + held < self.wanted(task)

    def in_hand(self, me: int) -> int | None:
        live = [task for task in self.hands[me] if self.leases[me, task] > self.clock.now]
        left = [task for task in self.hands[me] if self.room(me, task)]
        return (live or left or [None])[-1]

    def mine(self, me: int) -> set[int]:
        return {task for who, task, *_ in self.standing if who == me}

    def check_given(self, me: int, given: Given | None) -> None:
        held = self.in_hand(me)
        free = {task for task in self.proper - self.mine(me) if self.room(me, task)}
        if given is None:
            assert held is None
            assert not free
            return
        if held is None:
            assert given.task_id in free | (self.gold - self.mine(me))
            self.hands[me].append(given.task_id)
        else:
            assert given.task_id == held
        self.leases[me, given.task_id] = self.clock.now + LEASE

    def draft(self, me: int, task: int) -> None:
        if self.leases[me, task] > self.clock.now or self.room(me, task):
            self.leases[me, task] = self.clock.now + LEASE

    def say(self, me: int, task: int, winner: str | None, imported: bool = False) -> None:
        if task in self.hands[me]:
            self.hands[me].remove(task)
        self.standing.append((me, task, winner, imported))

    def undo(self, me: int) -> str:
        mine = [one for one in self.standing if one[0] == me and not one[3]]
        if not mine:
            return "nothing"
        self.standing.remove(mine[-1])
        task = mine[-1][1]
        self.hands[me].append(task)
        self.leases[me, task] = self.clock.now + LEASE
        return "recorded"


def check_store(store: Store, model: Model) -> None:
    """Hold all that the store tells against the model."""
    names = {one.name: one.id for one in store.annotators()}
    told = [
        (names[label.annotator], label.task_id, label.answer and label.answer.winner, label.imported)
        for label in store.labels()
    ]  # type: ignore[union-attr] # all tasks here compare two
    assert told == model.standing
    for state in store.task_states():
        says = [winner for _, task, winner, _ in model.standing if task == state.id]
        assert state.answers == sum(winner is not None for winner in says)
        assert state.skipped == sum(winner is None for winner in says)
        assert state.gold == (state.id in model.gold)
        assert state.wanted == (0 if state.gold else model.wanted(state.id))
        leases = [model.leases[me, state.id] for me, hand in model.hands.items() if state.id in hand]
        assert state.held == sum(until > model.clock.now for until in leases)
    for one in store.annotators():
        progress = store.progress(one)
        assert progress.done == len(model.mine(one.id))
        assert progress.wanted == sum(model.wanted(task) for task in model.proper)
        proper = [task for _, task, winner, _ in model.standing if winner and task in model.proper]
        assert progress.answers == len(proper)


@pytest.mark.parametrize("seed", range(3))
def test_the_store_does_what_the_model_does(url: str, seed: int) -> None:
    draw, clock = random.Random(seed), Clock()
    study = Study(seed=seed, overlap=2, tiebreak=1, gold_every=3, lease=LEASE)
    checks = [replace(task, id=f"check {task.id}", gold=PairwiseAnswer("first")) for task in pairs(2)]
    with Store(url, clock) as store:
        store.set_study(study)
        store.add_tasks([*pairs(6), *checks])
        tasks = dict(store.tasks())
        everybody = people(store, "ann", "bob", "eve", "zoe")
        gold = {task_id for task_id, task in tasks.items() if task.gold}
        model = Model(gold, set(tasks) - gold, study, clock, hands={one.id: [] for one in everybody})
        handles: dict[tuple[int, int], Given] = {}
        for step in range(120):
            clock.now += draw.choice((0, 1, 20, 60))
            me = draw.choice(everybody)
            act(store, model, draw, me, f"n{step}", handles)
            if step % 10 == 9:
                check_store(store, model)
        before = [execute(url, statement) for statement in CACHES]
        store.rebuild()
        assert [execute(url, statement) for statement in CACHES] == before
        check_store(store, model)


def act(
    store: Store,
    model: Model,
    draw: random.Random,
    me: Annotator,
    nonce: str,
    handles: dict[tuple[int, int], Given],
) -> None:
    """Let an annotator do something, in the store and in the model."""
    deed = draw.choice(("next", "next", "answer", "answer", "answer", "skip", "draft", "undo", "import"))
    if deed == "undo":
        told = model.undo(me.id)
        assert store.undo(me, nonce) == told
        if told == "recorded":
            assert store.undo(me, nonce) == "repeated"
        return
    if deed == "import":
        task_id, task = draw.choice(list(store.tasks()))
        label = Label(0, task, me.name, PairwiseAnswer("tie"), (0, 1), "", 0.0, model.clock.now, nonce)
        added = store.import_labels([label])
        assert added.new == (task_id not in model.mine(me.id))
        if added.new:
            model.say(me.id, task_id, "tie", imported=True)
        return
    if deed == "next" or not model.hands[me.id]:
        given = store.next_task(me)
        model.check_given(me.id, given)
        if given is not None:
            handles[me.id, given.task_id] = given
        return
    # Also what is no longer on the page, its lease long over, is taken.
    given = handles[me.id, draw.choice(model.hands[me.id])]
    if deed == "draft":
        assert store.record(me, given.handle, Posted("draft", nonce, {"winner": None})) == "recorded"
        model.draft(me.id, given.task_id)
        return
    winner = None if deed == "skip" else draw.choice(("first", "second", "tie"))
    post = Posted("skip", nonce) if winner is None else answer(given, nonce, winner)
    assert [store.record(me, given.handle, post) for _ in range(2)] == ["recorded", "repeated"]
    model.say(me.id, given.task_id, winner)
