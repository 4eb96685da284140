"""What the stories experiment found: a row a policy, its stories beside those before, and its probes."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit.experiments.stories.commands import KIND_WORDS, METHODS, TALE, StoriesTrial, StoryReward

LOOKED = ("kl", "kl_se", "perplexity", "repetition", "entropy")
"""What the last look of a probe adds to the table of `evalkit compare`."""
BEFORE = "before"

Looks = Mapping[str, list[dict[str, Any]]]


def read_looks(trial: StoriesTrial, reward: StoryReward) -> Looks:
    """Return the looks at each method's run, by what tables call it; rounds follow each other."""
    return {title: _looks(Path(trial.path(reward.name, method))) for method, title in METHODS.items()}


def _looks(folder: Path) -> list[dict[str, Any]]:
    """Return a run's looks in order, with the updates so far of all its rounds.

    Raises:
        FileNotFoundError: The run wrote none.
    """
    found = sorted(folder.rglob("probe.jsonl"))
    if not found:
        raise FileNotFoundError(f"{folder}: holds no probe.jsonl")
    looks: list[dict[str, Any]] = []
    for path in found:
        before = looks[-1]["updates"] if looks else 0
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        looks += [{**line, "updates": before + line["step"]} for line in lines]
    return looks


def table_rows(trial: StoriesTrial, reward: StoryReward) -> Iterator[dict[str, object]]:
    """Yield what `evalkit compare` says of each policy and the start, and what the last look says."""
    looks = read_looks(trial, reward)
    with Path(trial.path(f"{reward.name}-compared", "table.csv")).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["policy"]
            look = looks["DPO"][0] if name == BEFORE else looks[name][-1]
            told = {key: _number(look.get(f"probe_{key}")) for key in LOOKED}
            yield {"reward": reward.name, **row, "updates": look["updates"], **told}


def _number(value: Any) -> float | None:  # noqa: ANN401  # of a JSON line
    return None if value is None or not math.isfinite(value) else float(value)


def part_rows(trial: StoriesTrial, reward: StoryReward) -> Iterator[dict[str, object]]:
    """Yield of each policy what its stories to held-out prompts are paid for, the start first.

    `speech`, `end` and `words` are the shares of stories with that part of a tale; `kind_words_said` counts
    the kind words of a story with those said again, which the rule does not pay for.
    """
    told: dict[str, list[str]] = {}
    for row in _compared(trial, reward):
        for name, one in row["policies"].items():
            told.setdefault(name, []).extend(one["responses"])
    for name in (BEFORE, *(name for name in told if name != BEFORE)):
        stories = told[name]
        shares = {
            part: sum(re.search(pattern, story) is not None for story in stories) / len(stories)
            for part, pattern in zip(("speech", "end", "words"), TALE, strict=True)
        }
        said = sum(len(re.findall(rf"\b({KIND_WORDS})", story)) for story in stories) / len(stories)
        yield {
            "reward": reward.name,
            "policy": name,
            "stories": len(stories),
            **shares,
            "kind_words_said": said,
        }


def sample_rows(trial: StoriesTrial, reward: StoryReward, count: int) -> Iterator[dict[str, object]]:
    """Yield the first story of each policy to each of the first prompts, with their rewards."""
    for row in islice(_compared(trial, reward), count):
        told = {
            name: {"story": one["responses"][0], **{by: all_[0] for by, all_ in one["rewards"].items()}}
            for name, one in row["policies"].items()
        }
        yield {"reward": reward.name, "prompt": row["prompt"], "stories": {BEFORE: told.pop(BEFORE), **told}}


def _compared(trial: StoriesTrial, reward: StoryReward) -> Iterator[dict[str, Any]]:
    """Yield what `evalkit compare` wrote of each prompt."""
    path = Path(trial.path(f"{reward.name}-compared", "rows.jsonl"))
    yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())
