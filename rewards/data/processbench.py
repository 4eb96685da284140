"""ProcessBench: solutions of several models and the index of the first step that experts found wrong.

Source: `Qwen/ProcessBench` on the Hub, splits `gsm8k`, `math`, `olympiadbench` and `omnimath`, or its JSON
files; Apache-2.0 licence. Zheng et al. 2024, "ProcessBench: Identifying Process Errors in Mathematical
Reasoning" (2412.06559).
"""

from rewards.errors import DataError
from rewards.files import Row
from rewards.records import StepLabels

_OWN = ("id", "problem", "steps", "label")


def processbench_steps(row: Row) -> StepLabels:
    """Return the labelled steps of a row `{id, problem, steps, label, ...}`.

    Steps before the first wrong one are labelled 1, that one 0, and those behind it None, as nobody judged
    them. `extra` holds `first_error`, the index of the first wrong step from 0 or -1 where all are right,
    and the row's other columns. The steps carry no separators; they stay as they are.

    Raises:
        DataError: A column is missing or not of its type, there are no steps, or the label names none.
    """
    problem = row.column("problem")
    if not isinstance(problem, str):
        raise row.expected("problem", "a text", problem)
    steps = row.texts_in("steps")
    if not steps:
        raise row.expected("steps", "one step or more", [])
    first = row.column("label")
    if isinstance(first, bool) or not isinstance(first, int) or not -1 <= first < len(steps):
        raise row.expected("label", f"-1 or the index of one of the {len(steps)} steps, from 0", first)
    extra = {name: value for name, value in row.values.items() if name not in _OWN}
    extra["first_error"] = first
    try:
        return StepLabels(problem, steps, labels_until(first, len(steps)), row.id(), extra)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None


def labels_until(first_error: int, count: int) -> tuple[float | None, ...]:
    """Return the labels of `count` steps: 1 before the first error, 0 at it, None behind; -1 is all 1."""
    if first_error < 0:
        return (1.0,) * count
    return (1.0,) * first_error + (0.0,) + (None,) * (count - first_error - 1)
