"""The comparisons that a page shows: those on which verdicts disagree first, texts read in a second pass."""

from collections.abc import Sequence

import numpy as np

from evalkit.judging.page.verdict_page import ShownComparison, ShownVerdict, VerdictBrowser
from judges.judge import Verdict
from judges.verdicts.annotation import ORDER
from judges.verdicts.groups import comparison_codes
from judges.verdicts.reading import read_verdicts
from judges.verdicts.table import VerdictTable
from rewards.records import Prompt

LONGEST = 20_000
"""Characters of a text that a page shows; a longer one is cut, and says so."""


def gather_comparisons(sources: Sequence[str] | str, table: VerdictTable, most: int) -> VerdictBrowser:
    """Return at most so many comparisons with all their verdicts.

    Args:
        sources: The files, in the order in which `table` was read from them.
        table: Their verdicts, which say where verdicts disagree; texts are read here.
        most: Comparisons to show; 0 shows none.
    """
    if not most:
        return VerdictBrowser((), 0)
    codes = comparison_codes(table)
    total = int(codes.max()) + 1 if len(codes) else 0
    disagrees = _disagreeing(table, codes, total)
    _, first_row = np.unique(codes, return_index=True)
    order = np.lexsort((first_row, ~disagrees))  # those on which verdicts disagree, each in the files' order
    chosen = {int(code): place for place, code in enumerate(order[:most])}
    found: dict[int, list[Verdict]] = {code: [] for code in chosen}
    verdicts = (verdict for source in _names(sources) for verdict in read_verdicts(source))
    for code, verdict in zip(codes.tolist(), verdicts, strict=True):
        if code in found:
            found[code].append(verdict)
    shown = [_shown(found[code], bool(disagrees[code])) for code in chosen]
    told = tuple(one for one in shown if one.first or one.second)
    return VerdictBrowser(told, total if told else 0)


def _disagreeing(table: VerdictTable, codes: np.ndarray, total: int) -> np.ndarray:
    """Return for each comparison [total] whether two verdicts name different winners."""
    turned = table.first_system > table.second_system
    outcome = np.where(turned, 1 - table.outcome, table.outcome)
    present = ~np.isnan(outcome)
    least, most = np.full(total, 2.0), np.full(total, -1.0)
    np.minimum.at(least, codes[present], outcome[present])
    np.maximum.at(most, codes[present], outcome[present])
    return np.asarray((least < most) & (most >= 0))


def _shown(verdicts: Sequence[Verdict], disagrees: bool) -> ShownComparison:
    reference = verdicts[0].comparison
    first, second = (_system(verdicts[0], side) for side in ("first", "second"))
    return ShownComparison(
        reference.id,
        _cut(_text(reference.prompt)),
        first,
        second,
        _cut(reference.first),
        _cut(reference.second),
        len(reference.first),
        len(reference.second),
        disagrees,
        tuple(_verdict(one, first, second) for one in verdicts),
    )


def _verdict(verdict: Verdict, first: str, second: str) -> ShownVerdict:
    """Return a verdict oriented from the system that the browser calls first."""
    if _system(verdict, "first") != first and _system(verdict, "second") == first:
        verdict = verdict.swap()
    known = verdict.comparison.extra.get(ORDER) != "unknown"
    shown_first = (second if verdict.swapped else first) if known else ""
    reason = ": ".join(filter(None, (verdict.reason, verdict.detail)))
    return ShownVerdict(
        verdict.judge,
        verdict.axis,
        shown_first,
        verdict.winner or "",
        verdict.preference,
        reason,
        _cut(verdict.reply),
    )


def _system(verdict: Verdict, side: str) -> str:
    return str(verdict.comparison.extra.get(f"{side}_system", "") or f"{side} response")


def _text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{message.role}: {message.content}" for message in prompt)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[... {len(text) - LONGEST:,} more characters]"


def _names(sources: Sequence[str] | str) -> Sequence[str]:
    return [sources] if isinstance(sources, str) else sources
