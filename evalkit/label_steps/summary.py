"""Summary of a file of labels: steps, shares of correct completions, and rollouts saved."""

from collections.abc import Iterator
from itertools import accumulate

from evalkit.label_steps.config import LabelSteps
from rewards.files import Row, read_rows, step_labels
from rewards.records import text_hash
from rewards.solutions.steps import terminated


def summary_lines(config: LabelSteps) -> Iterator[str]:
    """Yield the lines that sum up a finished output.

    A step that was stopped early saved the rest of its n completions, and a prefix that several solutions
    have in common was completed once.
    """
    solutions = steps = right = sampled = 0
    needed: dict[bytes, tuple[int, int]] = {}
    for row in read_rows(config.out):
        labelled = step_labels(row)
        labels = [label for label in labelled.labels if label is not None]
        solutions += 1
        steps += len(labels)
        right += sum(label >= 0.5 for label in labels)
        for key, counts in zip(
            _keys(str(labelled.prompt), labelled.steps, config.separator), _counts(row), strict=True
        ):
            sampled += counts[0]
            needed[key] = max(needed.get(key, (0, 0)), counts)
    rolled = steps - solutions
    full = rolled * config.n
    made = sum(count for count, _ in needed.values())
    cut = sum(count for _, count in needed.values())
    yield f"{solutions:,} solutions, {steps:,} steps, {right / steps:.1%} of them labelled 0.5 or more"
    if not full:
        yield "no solution has two steps or more, so nothing was completed"
        return
    yield (
        f"saved {1 - made / full:.0%} of {full:,} completions: {full - sampled:,} by stopping early, "
        f"{sampled - made:,} by sharing prefixes"
    )
    yield f"{made:,} completions, {cut:,} of them ({cut / made:.1%}) cut by length and so not right"


def _keys(prompt: str, steps: tuple[str, ...], separator: str) -> Iterator[bytes]:
    """Yield a key of every step prefix but the whole solution."""
    for prefix in accumulate(terminated(steps[:-1], separator)):
        yield text_hash(f"{prompt}\x1e{prefix}", 16)


def _counts(row: Row) -> Iterator[tuple[int, int]]:
    """Yield the numbers of completions and of truncated ones for every step but the last."""
    for counts in row.list_in("rollouts")[:-1]:
        sampled, cut = (
            (counts.get("sampled"), counts.get("cut")) if isinstance(counts, dict) else (None, None)
        )
        if not isinstance(sampled, int) or not isinstance(cut, int):
            raise row.expected("rollouts", "counts of completions", counts)
        yield sampled, cut
