"""Automatic labels of steps in process_vs_outcome: what is learnt of them, and how far gold agrees."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rewards.files import Row, read_rows, step_labels, write_rows
from rewards.solutions.steps import until_first_error

HARD, SOFT = "hard_labels", "soft_labels"


def write_variants(rollouts: str, folder: Path) -> None:
    """Write three files of labelled steps from one file of rollouts.

    - `hard`: 1 where any completion is right, else 0; all steps (Math-Shepherd, 2312.08935, equation 3).
    - `hard-first`: the same up to the first 0, as labels by gold are, so that only the labels differ.
    - `soft`: the share of completions that are right (equation 4); all steps.
    """
    rows = list(read_rows(rollouts))
    for name, label in (("hard", _hard), ("hard-first", _hard_first), ("soft", _soft)):
        labelled = (
            {"prompt": row.column("prompt"), "completions": row.column("completions"), "labels": label(row)}
            for row in rows
        )
        write_rows(folder / f"automatic-{name}.jsonl", labelled, overwrite=True)


def _hard(row: Row) -> list[float | None]:
    return [float(str(label)) for label in row.list_in(HARD)]


def _soft(row: Row) -> list[float | None]:
    return [float(str(label)) for label in row.list_in(SOFT)]


def _hard_first(row: Row) -> list[float | None]:
    return list(until_first_error(_hard(row)))


def agreement(rollouts: str, early: str, gold: str) -> list[dict[str, object]]:
    """Hold automatic labels against gold's on the steps that gold labels: up to and with the first error.

    Args:
        rollouts: Rows with `hard_labels`, `soft_labels` and `rollouts`.
        early: The same with early stopping, of which only the numbers of completions are read.
        gold: Labels by gold; its first solutions are those of `rollouts`.

    Returns:
        A row for hard labels and one for soft ones cut at 0.5: shares that agree, of the right and of the
        wrong steps; first errors found alike; completions, and those that early stopping asked for.
    """
    pairs = list(zip(read_rows(rollouts), read_rows(early), read_rows(gold), strict=False))
    sampled = sum(_sampled(one) for one, _, _ in pairs)
    asked = sum(_sampled(one) for _, one, _ in pairs)
    found = []
    for name, column in (("hard", HARD), ("soft at 0.5", SOFT)):
        said, true, alike = [], [], []
        for one, _, truth in pairs:
            labels = [float(float(str(label)) >= 0.5) for label in one.list_in(column)]
            expected = step_labels(truth).labels
            told = [(a, b) for a, b in zip(labels, expected, strict=True) if b is not None]
            said += [a for a, _ in told]
            true += [b for _, b in told]
            alike.append(_first(labels) == _first(expected))
        agrees = np.array(said) == np.array(true)
        right = np.array(true) == 1
        found.append(
            {
                "labels": name,
                "solutions": len(pairs),
                "steps": len(said),
                "agree": float(agrees.mean()),
                "right_called_right": _mean(agrees[right]),
                "wrong_called_wrong": _mean(agrees[~right]),
                "first_error_alike": float(np.mean(alike)),
                "completions": sampled,
                "completions_with_early_stopping": asked if column == HARD else None,
            }
        )
    return found


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _first(labels: Sequence[float | None]) -> int:
    return next((place for place, label in enumerate(labels) if label == 0), -1)


def _sampled(row: Row) -> int:
    return sum(_counts(row))


def _counts(row: Row) -> Iterator[int]:
    for counts in row.list_in("rollouts"):
        if isinstance(counts, dict):
            yield int(counts["sampled"])
