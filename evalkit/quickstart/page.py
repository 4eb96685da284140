"""One self-contained HTML page: what was done, the curve, the numbers, and answers that show the turn."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from evalkit.report.html import STYLE
from evalkit.runs.files import atomic_write


@dataclass(frozen=True, slots=True)
class SelectionCurve:
    """Gains over the starting policy at each n, in the scorers' own units."""

    n: tuple[int, ...]
    proxy: tuple[float, ...]
    gold: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProxyFindings:
    """Findings on one reward model."""

    name: str
    folder: str
    weights: int
    """Weights of the language model that it started from."""
    knows_facts: bool
    """Whether that model passed the gate."""
    facts: float
    """Accuracy on typical facts."""
    agreement: float
    """Share of held-out pairs that it orders as gold does."""
    pairs: int
    gold_start: float
    proxy_sd: float
    curve: SelectionCurve
    fitted_n: float | None
    fitted_n_interval: tuple[float, float] | None
    note: str
    """Why no peak is fitted; empty where one is."""

    @property
    def peak(self) -> int:
        """Position of the highest measured gold."""
        return self.curve.gold.index(max(self.curve.gold))

    @property
    def peak_n(self) -> int:
        """The n of the highest measured gold."""
        return self.curve.n[self.peak]

    def gold(self, position: int) -> float:
        """Return the mean gold at a position of the curve."""
        return self.gold_start + self.curve.gold[position]

    def sentence(self) -> str:
        """Return a sentence on where gold peaks."""
        most, end = self.curve.n[-1], len(self.curve.n) - 1
        gain = self.curve.proxy[-1] / self.proxy_sd
        begin = (
            f"The {self.name} reward model orders {self.agreement:.0%} of held-out pairs as the truth does. "
            f"Taking the best of n answers by it, its own score climbs all the way to n = {most} "
            f"({gain:+.1f} standard deviations), "
        )
        if self.peak == end:
            return begin + f"and the true quality with it: {self.gold(0):+.2f} to {self.gold(end):+.2f}."
        return begin + (
            f"but the true quality rises from {self.gold(0):+.2f} to {self.gold(self.peak):+.2f} at "
            f"n = {self.peak_n} and then falls to {self.gold(end):+.2f}."
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A span of an answer and its gold reward."""

    text: str
    score: float
    kind: str


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer in its parts, and its scores."""

    title: str
    parts: tuple[Part, ...]
    completeness: float
    proxy: float
    gold: float


@dataclass(frozen=True, slots=True)
class Example:
    """Answers to one prompt, the harder selected the later."""

    prompt: str
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True, slots=True)
class QuickstartFindings:
    """All that the page shows."""

    labels: int
    prompts: int
    samples: int
    proxies: tuple[ProxyFindings, ...]
    examples: tuple[Example, ...]
    commands: tuple[tuple[str, str], ...]
    figure: Path

    def sentences(self) -> list[str]:
        """Return the findings in words, for a first-time reader."""
        lines = [proxy.sentence() for proxy in self.proxies]
        lines += [
            f"Note: the base of the {proxy.name} reward model knows only {proxy.facts:.0%} of the typical "
            "facts; more --updates would teach it."
            for proxy in self.proxies
            if not proxy.knows_facts
        ]
        if any(proxy.peak < len(proxy.curve.n) - 1 for proxy in self.proxies):
            lines.append("That turn is overoptimization: beyond it, selecting harder makes answers worse.")
        return lines


def write_page(found: QuickstartFindings, path: Path) -> None:
    """Write the page; it asks nothing of the network, as style and figure are inside."""
    picture = base64.b64encode(found.figure.read_bytes()).decode("ascii")
    body = "".join(
        [
            "<h1>Where optimising a learnt reward goes wrong</h1>",
            *(f"<p>{escape(line)}</p>" for line in found.sentences()),
            f'<figure><img alt="Proxy and gold against distance" src="data:image/png;base64,{picture}">',
            "<figcaption>Dashed: what the reward model says of the answers it selects. Solid: their true "
            "quality, with its band over prompts. Dotted: the fitted law "
            "d(&alpha; &minus; &beta;d).</figcaption></figure>",
            "<h2>What was done</h2>",
            f"<p>{escape(_story(found))}</p>",
            "<h2>In numbers</h2>",
            _table(found.proxies, found.labels),
            "<h2>See it happen</h2>",
            "<p>The questions whose answers lost most after the peak. Green parts earn true reward, red "
            "parts cost it; each part's worth is beside it.</p>",
            *map(_example, found.examples),
            "<h2>Each step by itself</h2>",
            "<p>All that was made is in ordinary files, and these commands made it. To run one again, give "
            "it another <code>--out</code>.</p>",
            *map(_command, found.commands),
        ]
    )
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>evalkit quickstart</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )
    with atomic_write(path) as file:
        file.write(page + "\n")


def _story(found: QuickstartFindings) -> str:
    return (
        "In a small world of 24 things with 6 attributes each, a language model was taught to answer "
        "questions, not always rightly and not always briefly. The true quality of an answer is known there: "
        "right facts that were asked earn, wrong ones cost, a courtesy is welcome and the third is not. "
        f"{found.labels:,} pairs of its answers were labelled by a noisy judge who knows that quality, and "
        f"reward models learnt from the labels alone. Then {found.samples} answers were sampled to each of "
        f"{found.prompts} new questions, and the best of n by each reward model was held against the truth."
    )


def _table(proxies: Iterable[ProxyFindings], labels: int) -> str:
    head = (
        "reward model", "weights", "labels", "orders pairs as gold", "gold at n = 1", "highest gold",
        "at n", "gold at the largest n", "fitted peak n*",
    )  # fmt: skip
    rows = []
    for proxy in proxies:
        cells = (
            proxy.name,
            f"{proxy.weights:,}",
            f"{labels:,}",
            f"{proxy.agreement:.1%} of {proxy.pairs}",
            f"{proxy.gold(0):+.2f}",
            f"{proxy.gold(proxy.peak):+.2f}",
            str(proxy.peak_n),
            f"{proxy.gold(len(proxy.curve.n) - 1):+.2f}",
            _fitted(proxy),
        )
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<div class="wide"><table><tr>{titles}</tr>{"".join(rows)}</table></div>'


def _fitted(proxy: ProxyFindings) -> str:
    if proxy.fitted_n is None:
        return f"not determined: {proxy.note}"
    if proxy.fitted_n_interval is None:
        return f"{proxy.fitted_n:.0f}"
    low, high = proxy.fitted_n_interval
    return f"{proxy.fitted_n:.0f} ({low:.0f} to {high:.0f})"


def _example(example: Example) -> str:
    answers = "".join(map(_answer, example.answers))
    return f"<section><h3><code>{escape(example.prompt)}</code></h3>{answers}</section>"


def _answer(answer: ShownAnswer) -> str:
    parts = " ".join(_part(part) for part in answer.parts)
    scores = f"reward model {answer.proxy:+.2f}, true quality {answer.gold:+.2f}"
    whole = _part(Part("complete" if answer.completeness > 0 else "incomplete", answer.completeness, "whole"))
    return (
        f'<div class="answer"><p class="by">{escape(answer.title)}: {escape(scores)}</p>'
        f"<p>{parts} {whole}</p></div>"
    )


def _part(part: Part) -> str:
    tone = "good" if part.score > 0 else "bad"
    return (
        f'<span class="part {tone}" title="{escape(part.kind)}">{escape(part.text)}'
        f"<small>{part.score:+.1f}</small></span>"
    )


def _command(command: tuple[str, str]) -> str:
    title, line = command
    return f"<p class=by>{escape(title)}</p><pre>{escape(line)}</pre>"
