"""The pieces of a response that aspects are scored by: sub-sentences, sentences, the whole; their targets."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, get_args

from rewards.config import Density
from rewards.errors import ConfigError, DataError
from rewards.records import Span

Pieces: TypeAlias = tuple[tuple[int, int], ...]
"""Character offsets (start, end) in a response, end exclusive, in order and without overlap."""

Objective: TypeAlias = Literal["regression", "error"]

DENSITIES: tuple[str, ...] = get_args(Density)
LEAST_WORDS = 5
"""Words of a sub-sentence, where its sentence has as many (Wu et al. 2023, 2306.01693)."""

ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "gen", "col", "sgt", "capt", "lt", "rev", "hon", "gov", "sen",
    "rep", "pres", "vs", "al", "cf", "approx", "dept", "est", "nos", "vol", "fig", "figs", "eq", "eqs",
    "sec", "ch", "p", "pp", "jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "mt", "v", "e.g", "i.e", "ph.d",
})  # fmt: skip
"""Words after whose full stop a sentence goes on, in lower case and without that stop.

None that often ends a sentence, such as `etc.`, or is a word too, such as `no.`; that one counts before a
digit, as in `No. 5`.
"""

_CLOSING = "\"'\u201d\u2019\u00bb)\\]}\u300d\u300f\uff09\u3011\u300b"
_MARKS = ".!?\u2026\u061f\u06d4\u0964"
_COMMAS = ",;!?\u060c\u061b"
_LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_SENTENCE_END = re.compile(
    f"(?P<line>[{_LINE_BREAKS}])"
    f"|[\u3002\uff01\uff1f\uff61]+[{_CLOSING}]*"
    f"|(?<![{_MARKS}])(?P<mark>[{_MARKS}]++)(?P<closed>[{_CLOSING}]*+)(?=\\s|\\Z)"
)
_CLAUSE_END = re.compile(
    f"[\uff0c\uff1b\u3001]+[{_CLOSING}]*|(?<![{_COMMAS}])[{_COMMAS}]++[{_CLOSING}]*+(?=\\s|\\Z)"
)
_WORD = re.compile(f"[{_IDEOGRAPHS}]|[^\\s{_IDEOGRAPHS}]+")
_SPACE = re.compile(r"\s*")
_NUMBER_OR_LETTER = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])")


def cut(response: str, density: Density) -> Pieces:
    """Cut a response into the pieces that one aspect is scored by, as in Fine-Grained RLHF (2306.01693).

    White space (what `str.isspace` says) around a piece is outside of it; every other character is in
    exactly one piece. A response of white space alone has no piece, except for `whole`.

    - `whole`: (0, length), white space and all.
    - `sentence`: a sentence ends at a line break; after a run of ideographic full stops or full-width
      exclamation and question marks; and after a run of . ! ? or an ellipsis character (and the full stops of
      Arabic, Urdu and Hindi) that white space or the end of the response follows. Closing quotes and
      brackets belong to the run. A full stop that white space comes before ends a sentence too. It goes on
      after a single full stop that follows an abbreviation of `ABBREVIATIONS` (or `no` before a digit), an
      initial (one capital letter, or letters with stops between, as `U.S.`), or a number or letter that
      begins the sentence, as an item of a list does; and, where a lower-case letter follows, after an
      ellipsis, or after any mark with a closing quote or bracket.
    - `sub-sentence`: within each sentence, a piece ends after a run of , ; ! ? (and their Arabic kin) that
      white space follows, or of full-width commas and semicolons, once it has `LEAST_WORDS` words; a rest
      with fewer joins the piece before it. A word is a run of characters other than white space with a
      letter or digit among them; each ideograph is a word too.

    Raises:
        ConfigError: There is no such density.
    """
    if density == "whole":
        return ((0, len(response)),)
    if density not in DENSITIES:
        raise ConfigError(f"density is one of {', '.join(DENSITIES)}; got {density!r}")
    sentences = _trimmed(response, 0, len(response), _sentence_ends(response))
    if density == "sentence":
        return tuple(sentences)
    return tuple(piece for start, end in sentences for piece in _clauses(response, start, end))


def segment_targets(
    response: str, spans: Sequence[Span], aspect: str, density: Density, objective: Objective
) -> tuple[float, ...]:
    """Return the target of each piece of `cut(response, density)` in one aspect.

    A span ends in the last piece that begins before the span's end, and in the first piece where there is
    none; so a span over all of the response ends in the last piece.

    - `regression`: the sum of the labels of the aspect's spans that end in the piece. Each span counts once,
      so the targets sum to the aspect's labels wherever there is a piece.
    - `error`: 0 where a span of the aspect with a label of 0 or less overlaps the piece, else 1. A span that
      overlaps none, being empty or of white space, counts in the piece in which it ends.

    Where there is no piece there is no target, whatever the labels say: count such responses.

    Raises:
        ConfigError: There is no such density or objective.
        DataError: A span ends past the response.
    """
    if objective not in get_args(Objective):
        raise ConfigError(f"objective is one of {', '.join(get_args(Objective))}; got {objective!r}")
    pieces = cut(response, density)
    mine = [span for span in spans if span.aspect == aspect]
    for span in mine:
        if span.end > len(response):
            raise DataError(
                f"aspect {aspect!r}: span end {span.end} is past the response's end, {len(response)}"
            )
    if not pieces:
        return ()
    starts = [start for start, _ in pieces]
    ends_in = [max(0, bisect_left(starts, span.end) - 1) for span in mine]
    if objective == "regression":
        labels: list[list[float]] = [[] for _ in pieces]
        for place, span in zip(ends_in, mine, strict=True):
            labels[place].append(span.label)
        return tuple(math.fsum(own) for own in labels)
    targets = [1.0] * len(pieces)
    for place, span in zip(ends_in, mine, strict=True):
        if span.label <= 0:
            for touched in _touched(pieces, span) or [place]:
                targets[touched] = 0.0
    return tuple(targets)


def _touched(pieces: Pieces, span: Span) -> list[int]:
    return [place for place, (start, end) in enumerate(pieces) if max(start, span.start) < min(end, span.end)]


def _trimmed(response: str, start: int, end: int, ends: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches between cuts within [start, end) without the white space around them."""
    for stop in (*ends, end):
        text = response[start:stop]
        if inner := text.strip():
            begin = start + len(text) - len(text.lstrip())
            yield begin, begin + len(inner)
        start = stop


def _sentence_ends(response: str) -> Iterator[int]:
    start = 0
    for match in _SENTENCE_END.finditer(response):
        if match["mark"] is None or not _goes_on(response, start, match):
            yield match.end()
            start = match.end()


def _goes_on(response: str, start: int, match: re.Match[str]) -> bool:
    """Return whether a sentence that began at `start` goes on after a mark at which it could end."""
    mark = match["mark"]
    if match["closed"] or _is_ellipsis(mark):
        following = _after_space(response, match.end())
        if response[following : following + 1].islower():
            return True
    if mark != ".":
        return False
    word_start = match.start()
    while word_start > start and not response[word_start - 1].isspace():
        word_start -= 1
    word = response[word_start : match.start()]
    if _NUMBER_OR_LETTER.fullmatch(word) and _after_space(response, start) == word_start:
        return True
    bare = word.lstrip("([{\"'\u201c\u2018\u00ab")
    if bare.lower() == "no":
        following = _after_space(response, match.end())
        return response[following : following + 1].isdecimal()
    return bare.lower() in ABBREVIATIONS or _is_initial(bare)


def _after_space(response: str, place: int) -> int:
    """Return the first index from a given index on that is no white space."""
    match = _SPACE.match(response, place)
    return match.end() if match else place


def _is_ellipsis(mark: str) -> bool:
    return "\u2026" in mark or ".." in mark


def _is_initial(word: str) -> bool:
    letters = word.split(".")
    return all(len(letter) == 1 and letter.isalpha() for letter in letters) and letters[0].isupper()


def _clauses(response: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    cuts: list[int] = []
    begin, words = start, 0
    for match in _CLAUSE_END.finditer(response, start, end):
        words += _count_words(response, begin, match.end())
        begin = match.end()
        if words >= LEAST_WORDS:
            cuts.append(begin)
            words = 0
    if cuts and words + _count_words(response, begin, end) < LEAST_WORDS:
        cuts.pop()
    return _trimmed(response, start, end, iter(cuts))


def _count_words(response: str, start: int, end: int) -> int:
    runs = (match[0] for match in _WORD.finditer(response, start, end))
    return sum(any(map(str.isalnum, run)) for run in runs)
