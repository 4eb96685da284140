"""What a crowd of simulated annotators was told, held against what the store holds."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from evalkit.experiments.simulated_annotators.annotators import Deed
from evalkit.experiments.simulated_annotators.world import SYSTEMS, pairs
from judges.human.answers import PairwiseAnswer
from judges.human.store import Store

_OTHER = {"first": "second", "second": "first"}


def write_tasks(path: Path, count: int, checks: int = 0) -> str:
    """Write comparisons and planted checks, each with a prompt of its own; the file's name."""
    rows = []
    for number, one in enumerate(pairs(0, count + checks)):
        first, second = one.answers
        gold = ("first" if one.first_better else "second") if number >= count else None
        names = {"first_system": SYSTEMS[0], "second_system": SYSTEMS[1]}
        rows.append({"prompt": one.prompt, "first": first, "second": second, "gold": gold, **names})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def names(count: int) -> list[str]:
    return [f"person{number}" for number in range(count)]


def server_options(url: str, data: str, links: Path, people: int, port: int, **more: object) -> list[str]:
    given = {
        "db": url,
        "data": data,
        "annotators": f"[{','.join(names(people))}]",
        "links": links,
        "port": port,
    }
    return [part for name, value in (given | more).items() for part in (f"--{name}", str(value))]


def check_accounts(deeds: Sequence[Deed], url: str, overlap: int) -> dict[str, int]:
    """Assert that the store holds every act that anybody was told of exactly once, and nothing else."""
    told = [deed for deed in deeds if deed.kind != "page" and deed.state != "nothing"]
    assert {deed.state for deed in told} <= {"recorded", "repeated"}
    with Store(url, create=False) as store:
        events = [(event["annotator"], event["nonce"], event["kind"]) for event in store.events()]
        labels, tasks = list(store.labels()), dict(store.tasks())
        before = store.task_states()
        store.rebuild()
        assert store.task_states() == before, "the caches are not what the events say"
    assert Counter(events) == Counter((deed.annotator, deed.nonce, deed.kind) for deed in told)

    standing = {(label.annotator, label.nonce): label for label in labels}
    expected = _standing(told)
    assert standing.keys() == expected.keys()
    for key, label in standing.items():
        assert label.task.prompt == expected[key].prompt
        assert _shown(label) == (expected[key].winner or None)

    answers: Counter[int] = Counter(label.task_id for label in labels if label.answer is not None)
    people = Counter((label.annotator, label.task_id) for label in labels)
    assert max(people.values(), default=0) <= 1
    proper = {number for number, task in tasks.items() if task.gold is None}
    assert max((answers[number] for number in proper), default=0) <= overlap
    _check_held(deeds, {tasks[number].prompt for number in proper}, overlap)
    return {
        "acts": len(told),
        "answers": sum(answers.values()),
        "repeated": sum(deed.state == "repeated" for deed in told),
        "tried_again": sum(deed.tries > 1 for deed in deeds),
    }


def _standing(told: Sequence[Deed]) -> dict[tuple[str, str], Deed]:
    """Return what stands after each person's acts in their order: an undo takes back the latest one."""
    every: defaultdict[str, list[Deed]] = defaultdict(list)
    for deed in told:
        if deed.kind == "undo":
            every[deed.annotator].pop()
        else:
            every[deed.annotator].append(deed)
    return {(deed.annotator, deed.nonce): deed for acts in every.values() for deed in acts}


def _shown(label: object) -> str | None:
    """Return what a label says in terms of what its annotator saw."""
    answer = label.answer
    if not isinstance(answer, PairwiseAnswer):
        return None
    return _OTHER.get(answer.winner, answer.winner) if label.shown == (1, 0) else answer.winner


def _check_held(deeds: Sequence[Deed], prompts: set[object], overlap: int) -> None:
    """No task was shown to more people than were to answer it, but for those who skipped it."""
    seen, skipped = defaultdict(set), Counter()
    for deed in deeds:
        if deed.kind == "page" and deed.prompt in prompts:
            seen[deed.prompt].add(deed.annotator)
        skipped[deed.prompt] += deed.kind == "skip"
    for prompt, people in seen.items():
        assert len(people) <= overlap + skipped[prompt], f"{prompt} was in the hands of {sorted(people)}"
