"""What the stories experiment found: a row a policy, its stories beside those before, and its probes."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.experiments.stories_commands import METHODS, Course, Reward

LOOKED = ("kl", "kl_se", "perplexity", "repetition", "entropy")
"""What the last look of a probe adds to the table of `evalkit compare`."""
BEFORE = "before"

Looks = Mapping[str, list[dict[str, Any]]]


def read_looks(course: Course, reward: Reward) -> Looks:
    """Return the looks at each method's run, by what tables call it; of rounds only the last has them all."""
    return {title: _looks(Path(course.path(reward.name, method))) for method, title in METHODS.items()}


def _looks(folder: Path) -> list[dict[str, Any]]:
    """Return a run's looks in order.

    Raises:
        FileNotFoundError: The run wrote none.
    """
    found = sorted(folder.rglob("probe.jsonl"))
    if not found:
        raise FileNotFoundError(f"{folder}: holds no probe.jsonl")
    lines = [line for path in found for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def table_rows(course: Course, reward: Reward) -> Iterator[dict[str, object]]:
    """Yield what `evalkit compare` says of each policy and the start, and what the last look says."""
    looks = read_looks(course, reward)
    with Path(course.path(f"{reward.name}-compared", "table.csv")).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["policy"]
            look = looks["DPO"][0] if name == BEFORE else looks[name][-1]
            yield {"reward": reward.name, **row, **{key: _number(look.get(f"probe_{key}")) for key in LOOKED}}


def _number(value: Any) -> float | None:  # noqa: ANN401  # of a JSON line
    return None if value is None or not math.isfinite(value) else float(value)


def sample_rows(course: Course, reward: Reward, count: int) -> Iterator[dict[str, object]]:
    """Yield the first story of each policy to each of the first prompts, with their rewards."""
    path = Path(course.path(f"{reward.name}-compared", "rows.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()[:count]:
        row = json.loads(line)
        told = {
            name: {"story": one["responses"][0], **{by: all_[0] for by, all_ in one["rewards"].items()}}
            for name, one in row["policies"].items()
        }
        yield {"reward": reward.name, "prompt": row["prompt"], "stories": {BEFORE: told.pop(BEFORE), **told}}
