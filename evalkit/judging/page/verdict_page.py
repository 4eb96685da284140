"""One self-contained HTML page about verdicts: numbers, figures, and a browser of the comparisons."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from evalkit.report.html import STYLE
from evalkit.runs.files import atomic_write

SCRIPT = (Path(__file__).parent / "verdict_browser.js").read_text(encoding="utf-8")

BROWSER_STYLE = """
main { max-width: 74rem; } main > p, main > ul { max-width: 50rem; }
.controls { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; margin: 0.8rem 0; }
.controls select, .controls input, .controls button { font: inherit; font-size: 0.9rem; color: var(--ink);
  background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: 0.3rem 0.5rem; }
.controls input { flex: 1 1 12rem; min-width: 8rem; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 0.8rem; }
@media (max-width: 45rem) { .sides { grid-template-columns: 1fr; } }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22rem; overflow-y: auto; margin: 0;
  background: var(--box); border-radius: 6px; padding: 0.6rem 0.8rem; font-size: 0.9rem;
  unicode-bidi: isolate; }
.text.won { background: var(--good); }
.verdicts { font-size: 0.85rem; margin: 0.6rem 0 0; padding: 0; list-style: none; }
.verdicts li { margin: 0.15rem 0; } .mark { font-weight: 600; }
.missing { color: var(--soft); font-style: italic; }
.flag { background: var(--bad); border-radius: 4px; padding: 0 0.35rem; margin-left: 0.5rem;
  font-size: 0.8rem; }
details summary { cursor: pointer; color: var(--soft); }
.wide + .wide { margin-top: 1.4rem; }
@media (max-width: 45rem) { figure { overflow-x: auto; } figure img { min-width: 36rem; } }
.note { border-left: 3px solid var(--line); padding-left: 0.8rem; color: var(--soft); }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a page."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page: sentences, tables and figures."""

    title: str
    lines: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[tuple[Path, str], ...] = ()
    """Picture files and what they show."""
    notes: tuple[str, ...] = ()
    """Caveats for the reader."""


@dataclass(frozen=True, slots=True)
class ShownVerdict:
    """A verdict as the browser shows it."""

    judge: str
    axis: str
    shown_first: str
    """Name of the system whose response was shown first; empty where that is not known."""
    winner: str
    """`first`, `second` or `tie`, as the comparison tells its sides; empty where there is none."""
    preference: float | None
    """Probability that the first system's response is better."""
    reason: str
    """Why there is no winner."""
    reply: str
    """The judge's reply."""


@dataclass(frozen=True, slots=True)
class ShownComparison:
    """A comparison as the browser shows it: both texts, and every verdict on them."""

    id: str
    prompt: str
    first_system: str
    second_system: str
    first: str
    second: str
    first_characters: int
    """Length of the whole response, of which `first` may be a part."""
    second_characters: int
    disagrees: bool
    """Whether two of its verdicts name different winners."""
    verdicts: tuple[ShownVerdict, ...]


@dataclass(frozen=True, slots=True)
class VerdictBrowser:
    """The comparisons that a page shows, and how many there are in all."""

    comparisons: tuple[ShownComparison, ...]
    total: int


def write_verdict_page(
    path: Path, title: str, sections: Iterable[Section], browser: VerdictBrowser | None = None
) -> None:
    """Write the page; it asks nothing of the network, and texts of answers and judges are never markup."""
    body = [f"<h1>{escape(title)}</h1>", *map(_section, sections)]
    if browser is not None and browser.comparisons:
        body.append(_browser(browser))
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{BROWSER_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>"
    )
    with atomic_write(path) as file:
        file.write(page + "\n")


def _section(section: Section) -> str:
    return "".join(
        [
            f"<h2>{escape(section.title)}</h2>",
            *(f"<p>{escape(line)}</p>" for line in section.lines),
            *(_figure(picture, caption) for picture, caption in section.figures),
            *map(_table, section.tables),
            *(f'<p class="note">{escape(note)}</p>' for note in section.notes),
        ]
    )


def _figure(picture: Path, caption: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in table.header)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(map(_row, table.rows))}</table></div>'


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _browser(browser: VerdictBrowser) -> str:
    shown, total = len(browser.comparisons), browser.total
    all_of_them = "All" if shown == total else f"{shown:,} of the"
    left = "" if shown == total else "; those on which verdicts disagree come first (--shown sets how many)"
    # "<" is written as an escape, so that no text can end the element that holds it.
    data = json.dumps([asdict(one) for one in browser.comparisons], ensure_ascii=False).replace(
        "<", "\\u003c"
    )
    return (
        f"<h2>The comparisons</h2><p>{all_of_them} {total:,} comparisons{left}.</p>"
        '<div class="controls"><select id="filter" aria-label="Which comparisons"></select>'
        '<select id="systems" aria-label="Which systems"></select>'
        '<input id="search" type="search" placeholder="search in texts" aria-label="Search in texts">'
        '<button id="previous" type="button">previous</button><span id="place" aria-live="polite"></span>'
        '<button id="next" type="button">next</button></div>'
        '<div id="list"></div>'
        f'<script type="application/json" id="data">{data}</script><script>{SCRIPT}</script>'
    )
