"""Assignment of tasks: the next task, the order of its answers, and the sample for unbiased win rates."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

_NOBODY: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TaskCandidate:
    """A task that an annotator may be given."""

    task_id: int
    priority: float
    """How much a label is needed, 0 to 1."""
    order: int
    """Its place in the random order of all tasks, as `random_order` says."""
    answers: int
    """Answers that stand."""
    answered_by: frozenset[int] = field(default=frozenset())
    """Annotators who answered, skipped or hold it."""


def order_shown(seed: int, annotator: str, key: str, count: int) -> tuple[int, ...]:
    """Return, for each place on the page, the index of the response that an annotator sees there.

    Each order is as likely as any other, and says nothing of another task's or another annotator's.
    """
    return tuple(sorted(range(count), key=lambda place: _digest("shown", seed, annotator, key, place)))


def random_order(seed: int, key: str) -> int:
    """Return a task's place, of 63 bits, in the random order of all tasks, whenever it was added."""
    return _number("order", seed, key) >> 1


def wants_gold(seed: int, annotator: str, done: int, gold_every: int) -> bool:
    """Say whether an annotator who has done so many tasks is to have a planted check now.

    There is one in each `gold_every` tasks, at a random place that nobody can count off; 0 gives none.
    """
    if gold_every == 0:
        return False
    block, place = divmod(done, gold_every)
    return place == _number("gold", seed, annotator, block) % gold_every


def wants_needed(seed: int, annotator: str, done: int, needed_every: int) -> bool:
    """Say whether the task most needed comes now, rather than the next in random order.

    It is drawn anew each time, and comes once in `needed_every` tasks on average; 0 is never.
    """
    return needed_every > 0 and _number("needed", seed, annotator, done) % needed_every == 0


def choose(
    candidates: Sequence[TaskCandidate], needed: bool, annotator: int, shared: Mapping[int, int] = _NOBODY
) -> TaskCandidate | None:
    """Return the task that an annotator is given, None where there is none for them.

    Args:
        candidates: Tasks with room for another answer; those the annotator had already are passed over.
        needed: Take the highest priority, of those one that others have begun, of those the one whose
            others this annotator has shared the fewest tasks with. Else the first in random order counts
            alone: it must, or the labels of `measured_prefix` would be chosen and not drawn.
        annotator: The annotator.
        shared: By other annotator, how many tasks both have answered; those not named, none.
    """
    mine = [one for one in candidates if annotator not in one.answered_by]
    if not mine:
        return None
    if not needed:
        return min(mine, key=lambda one: (one.order, one.task_id))

    def rank(one: TaskCandidate) -> tuple[float, bool, int, int, int]:
        together = sum(shared.get(other, 0) for other in one.answered_by)
        return -one.priority, one.answers == 0, together, one.order, one.task_id

    return min(mine, key=rank)


def answers_wanted(said: Sequence[Hashable | None], overlap: int, tiebreak: int) -> int:
    """Return the number of answers wanted for a task.

    Args:
        said: What the answers that stand say, the first given first, by `judges.human.answers.said`; None
            can neither agree nor disagree.
        overlap: Answers to any task.
        tiebreak: More of them where the first `overlap` do not all say the same.
    """
    first = said[:overlap]
    split = len(first) == overlap and len({one for one in first if one is not None}) > 1
    return overlap + tiebreak if split else overlap


def measured_prefix(tasks: Sequence[tuple[int, int, bool]]) -> tuple[int, ...]:
    """Return the ids of the tasks that the win rate so far is read from, in random order.

    Those most needed come early, and they are not like the others: where judges disagree, so do people. A
    mean over whatever is labelled is therefore biased until all is. The tasks' random order was fixed
    before anybody answered, and the turns that are not for the most needed go along it; so the tasks up to
    the first that is not settled are a simple random sample of all, whichever of them were brought forward.

    Any answer settles a task. Were its last one awaited, a task on which people disagree, for which a
    tie-break is wanted, would hold up the sample more often than others, and the sample would be of easy
    ones. A task in somebody's hands holds it up only until it is answered, or given to another.

    Args:
        tasks: Of each task proper its id, its place in random order, and whether it is settled: it has an
            answer, or all who saw it skipped it.
    """
    prefix: list[int] = []
    for task_id, _, settled in sorted(tasks, key=lambda task: (task[1], task[0])):
        if not settled:
            break
        prefix.append(task_id)
    return tuple(prefix)


def _number(*parts: str | int) -> int:
    """Return 64 random bits that the parts determine."""
    return int.from_bytes(_digest(*parts)[:8], "big")


def _digest(*parts: str | int) -> bytes:
    # A length before each part, so that no two lists of parts run together into one text.
    texts = [str(part).encode("utf-8", "surrogatepass") for part in parts]
    return hashlib.sha256(b"".join(len(text).to_bytes(8, "big") + text for text in texts)).digest()
