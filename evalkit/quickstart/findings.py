"""Findings of a quickstart, read from its files."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.quickstart.page import (
    Example,
    Part,
    ProxyFindings,
    QuickstartFindings,
    SelectionCurve,
    ShownAnswer,
)
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_gold import grade
from rewards.files import read_rows

EXAMPLES = 4
"""Prompts shown on the page."""


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """An answer with its scores."""

    response: str
    proxy: float
    gold: float


def read_findings(
    folder: Path, bases: Mapping[str, str], commands: Sequence[tuple[str, str]]
) -> QuickstartFindings:
    """Read the findings of a finished run.

    Args:
        folder: The run's folder.
        bases: For each proxy, smallest first, the folder of the base that it started from.
        commands: Titles and command lines of the steps.
    """
    curves = _read_curves(folder / "curves" / "curve.csv")
    fits = _read_json(folder / "curves" / "fit.json")["curves"]
    proxies = []
    for (name, base), fit in zip(bases.items(), fits, strict=True):
        report = _read_json(folder / base / "world.json")["report"]
        card = _read_json(folder / f"evaluation-{name}" / "report.json")
        proxies.append(
            ProxyFindings(
                name=name,
                folder=str(folder / f"proxy-{name}"),
                weights=report["parameters"],
                knows_facts=report["passed"],
                facts=report["typical"],
                agreement=card["pairs"]["accuracy"]["mean"],
                pairs=card["rows"],
                gold_start=fit["gold_start"],
                proxy_sd=fit["proxy_sd"],
                curve=curves[fit["proxy"]],
                fitted_n=fit.get("peak_n"),
                fitted_n_interval=fit.get("peak_n_interval"),
                note=fit["note"],
            )
        )
    with (folder / "preferences.jsonl").open(encoding="utf-8") as file:
        labels = sum(1 for _ in file)
    return QuickstartFindings(
        labels=labels,
        prompts=fits[0]["prompts"],
        samples=fits[0]["samples"] // fits[0]["prompts"],
        proxies=tuple(proxies),
        examples=tuple(_examples(folder / "curves" / "scores.jsonl", proxies[-1], len(proxies))),
        commands=tuple(commands),
        figure=folder / "curves" / "curve.png",
    )


def _read_json(path: Path) -> Any:  # noqa: ANN401  # our own files, each of a known form
    return json.loads(path.read_text(encoding="utf-8"))


def _read_curves(path: Path) -> dict[str, SelectionCurve]:
    columns: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            columns[row["scorer"]].append((int(row["n"]), float(row["proxy"]), float(row["gold"])))
    return {scorer: SelectionCurve(*zip(*points, strict=True)) for scorer, points in columns.items()}


def _examples(path: Path, proxy: ProxyFindings, proxies: int) -> list[Example]:
    """Choose the prompts on which gold falls furthest from the peak's n to the largest n."""
    column = "proxy" if proxies == 1 else f"proxy_{proxies}"
    samples: dict[str, list[ScoredSample]] = defaultdict(list)
    for row in read_rows(path):
        prompt, response = str(row.values["prompt"]), str(row.values["response"])
        samples[prompt].append(ScoredSample(response, row.number_in(column), row.number_in("gold")))
    peak, most = proxy.peak_n, proxy.curve.n[-1]
    chosen = []
    for prompt, pool in samples.items():
        first, middle, last = pool[0], _best(pool[:peak]), _best(pool)
        chosen.append((middle.gold - last.gold, prompt, (first, middle, last)))
    chosen.sort(key=lambda item: (-item[0], item[1]))
    titles = ("the first sample", f"best of {peak} by the {proxy.name} proxy", f"best of {most}")
    return [
        Example(prompt.strip(), tuple(map(_answer, titles, [prompt] * 3, answers)))
        for _, prompt, answers in chosen[:EXAMPLES]
    ]


def _best(pool: Sequence[ScoredSample]) -> ScoredSample:
    return max(pool, key=lambda sample: sample.proxy)


def _answer(title: str, prompt: str, sample: ScoredSample) -> ShownAnswer:
    grading = grade(FactsWorld(), prompt, sample.response)
    parts = tuple(
        Part(sample.response[segment.start : segment.end], segment.score, segment.kind)
        for segment in grading.segments
    )
    return ShownAnswer(title, parts, grading.completeness, sample.proxy, sample.gold)
