"""The final answer of a solution, and whether it is the reference answer: by text, number or expression."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from rewards.errors import ConfigError, DataError
from rewards.solutions.expressions import digits, expression_text, math_verify_package, same_expression

Grader: TypeAlias = Literal["exact", "numeric", "math-verify"]
"""How a final answer is compared with the reference.

- `exact`: the texts are equal, white space around both aside.
- `numeric`: the numbers are equal, exactly, as fractions; `read_number` says what counts as a number.
- `math-verify`: the numbers are equal, or the package math-verify calls the expressions equal.
"""

GRADERS: tuple[str, ...] = get_args(Grader)

_MARKS = (
    re.compile(r"####[ \t]*([^\n]*)"),
    re.compile(r"^[ \t*]*(?:A|(?i:(?:final )?answer))[ \t*]*:[ \t*]*([^\n]*)", re.M),
    re.compile(r"^[ \t]*A[ \t]+([-+]?[0-9]+)[ \t]*$", re.M),
    re.compile(
        r"\bthe (?:final |correct )?answer is(?:[ \t]*:\s*|[ \t]+)(.*?)(?=[.!?](?:\s|$)|\n|$)", re.IGNORECASE
    ),
)
_BOX = re.compile(r"\\boxed\s*\{")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)

_DIGITS = r"\.?[0-9](?:[0-9.,]*[0-9])?(?:[eE][-+]?[0-9]{1,3}(?![0-9]))?"
_NUMBER = re.compile(
    r"(?P<sign>(?<![0-9A-Za-z)\]}%.])[-+])?(?<![A-Za-z_])[$€£¥]?(?P<minus>(?<=[$€£¥])-)?"
    rf"(?P<first>{_DIGITS})(?:\s+(?P<top>[0-9]+)/(?P<bottom>[0-9]+)|\s*/\s*(?P<over>{_DIGITS}))?"
)
_PLAIN = re.compile(r"(?:(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS = re.compile(r"(?:[^\W\d_]|[\s.,;:'\"\u2019\u201c\u201d()?%°¢$€£¥]|[-/](?=[^\W\d_]))*")
_MAGNITUDE = re.compile(r"[ -]?(dozen|hundred|thousand|million|billion|trillion)\b", re.IGNORECASE)
_MAGNITUDES = {
    "dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12
}  # fmt: skip
_NO_UNITS = frozenset({"x", "y", "z", "i", "e", "k", "π", "pi", "half", "quarter", "not", "dozens"})
_TYPESETTING = (
    (re.compile(r"[\u2212\u2013](?=[0-9.$€£¥])"), "-"),
    (re.compile(r"(?<![0-9)])\*\*([^*\n]+)\*\*(?![0-9(])"), r"\1"),
    (re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"(-?)\s*\\[dt]?frac\s*\{\s*(-?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}"), r" \1\2/\3"),
    (re.compile(r"(-?)\s*\\[dt]?frac([0-9])([0-9])"), r" \1\2/\3"),
    (re.compile(r"(?<=[0-9])(?:\{,\}|\\!,|,\\!|\\,)(?=[0-9]{3}(?![0-9]))"), ","),
    (re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})"), "°"),
    (re.compile(r"\\(?:left|right)(?=[()])|\\[,;!: ()\[\]]"), " "),
    (re.compile(r"\\(?=[$%])"), ""),
)
_LONGEST = 1000
"""Maximum characters of a number: longer ones are degenerate output, and slow to compute with."""


def final_answer(text: str, grader: str) -> str | None:
    r"""Return the final answer of a solution in canonical form, so that votes can be counted.

    The answer follows a marker, and the last marker in the text counts:

    - `#### 42`, to the end of the line (GSM8K);
    - `A: 42`, `Answer: 42` or `Final answer: 42` at the beginning of a line, to its end;
    - a line that is `A 7`, a whole number (the testbed of arithmetic);
    - `the answer is 42`, also `final` or `correct`, to the end of the sentence or line;
    - `\boxed{42}`, to the brace that closes it; one that is never closed holds no answer.

    Without a marker only the numeric grader finds an answer: the last number in the text. For it an answer is
    `read_number`'s, written as a fraction in lowest terms, such as `42` or `-7/2`; for math-verify 12 digits
    where it is a number or an expression without variables, and else the expression as sympy writes it.

    Args:
        text: A whole solution.
        grader: One of GRADERS.

    Returns:
        The answer, or None where there is none that the grader can read.

    Raises:
        ConfigError: There is no such grader.
        MissingExtraError: The grader needs a package that is not installed.
    """
    _check(grader)
    marked = marked_answer(text)
    if marked is not None:
        return _canonical(marked, grader)
    if grader != "numeric" or _marks(text):
        return None
    number = _last_number(text)
    return None if number is None else str(number)


def is_right(text: str, reference: str, grader: str) -> bool:
    """Return whether the final answer of a solution is the reference; a solution without an answer is wrong.

    Args:
        text: A whole solution.
        reference: The right answer alone, or a solution that marks it.
        grader: One of GRADERS.

    Raises:
        ConfigError: There is no such grader.
        DataError: The grader cannot read the reference; the caller adds its place in the file.
        MissingExtraError: The grader needs a package that is not installed.
    """
    wanted = reference_answer(reference, grader)
    answer = final_answer(text, grader)
    if grader != "math-verify" or answer is None or answer == wanted:
        return answer is not None and answer == wanted
    return same_expression(marked_answer(reference) or reference.strip(), marked_answer(text) or "")


def reference_answer(reference: str, grader: str) -> str:
    """Return a reference in the form of `final_answer`: its marked answer, or else all of it.

    Raises:
        ConfigError: There is no such grader.
        DataError: The grader cannot read it.
        MissingExtraError: The grader needs a package that is not installed.
    """
    _check(grader)
    marked = marked_answer(reference)
    answer = _canonical(reference.strip() if marked is None else marked, grader)
    if answer is None:
        shown = repr(reference if len(reference) <= 60 else "..." + reference[-57:])
        what = {"exact": "a text that is not empty", "numeric": "one number"}.get(grader, "an expression")
        raise DataError(f"the {grader} grader expects {what} as the reference answer, got {shown}")
    return answer


def reference_text(value: object, grader: str) -> str:
    """Return a column's value as a reference: text unchanged, a number as text.

    Raises:
        DataError: It is neither; or a float for the exact grader, since 42.0 would never equal the text 42.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | (int if grader == "exact" else float)):
        raise DataError(f"the {grader} grader expects a text or a number as the reference, got {value!r}")
    return str(value)


def marked_answer(text: str) -> str | None:
    """Return the text after the last marker of `final_answer`; None without a marker, or without text."""
    answer = max(_marks(text), key=lambda mark: mark[0], default=(0, None))[1]
    return answer.strip() or None if answer is not None else None


def read_number(text: str) -> Fraction | None:
    r"""Return the number that an answer states, exactly.

    - Thousands are separated by commas, in groups of three: `1,000`; `1,50` is no number.
    - `3/4` and `\frac{3}{4}` are fractions, `1 1/2` is 3/2; nothing is divided by 0.
    - `1.5e3` and `1.5 thousand` (dozen, hundred, million, ...) are 1500.
    - Of an equation what follows the last `=` counts: `3 + 4 = 7` is 7.
    - Currency signs, `%`, `°` and LaTeX's dollars and spaces are ignored: `72%` is 72, `-$18.00` is -18.
    - Words around the number are units, as in `18 dollars`, `about 5 miles/hour`, unless they make it another
      number (`half`) or an expression: `5x`, `2\pi`, `3 + 4`. Two numbers are none: `3 or 4`, `(1, 2)`.

    Returns:
        The number, or None where the text states none, more than one, or one of over 1000 characters.
    """
    text = _plain_text(text)
    if re.search(r"[<>≤≥≠≈]", text):
        return None
    text = text.rpartition("=")[2].strip()
    matches = list(_NUMBER.finditer(text))
    if len(matches) != 1:
        return None
    match = matches[0]
    before, after = text[: match.start()], text[match.end() :]
    words = re.findall(r"[^\W\d_]+", f"{before} {after}".lower())
    if not (_WORDS.fullmatch(before) and _WORDS.fullmatch(after)) or _NO_UNITS & set(words):
        return None
    return _value(match, after)


def _check(grader: str) -> None:
    if grader not in GRADERS:
        raise ConfigError(f"grader is one of {', '.join(GRADERS)}; got {grader!r}")
    if grader == "math-verify":
        math_verify_package()  # missing, it is missed at the first answer, not at the first expression


def _marks(text: str) -> list[tuple[int, str | None]]:
    """Return the positions of all markers and their answers, None where a box is never closed."""
    marks: list[tuple[int, str | None]] = [
        (match.start(), match[1]) for mark in _MARKS for match in mark.finditer(text)
    ]
    return marks + list(_boxes(text))


def _boxes(text: str) -> Iterator[tuple[int, str | None]]:
    for box in _BOX.finditer(text):
        depth = 1
        content = None
        for brace in _BRACES.finditer(text, box.end()):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                content = text[box.end() : brace.start()]
                break
        yield box.start(), content


@lru_cache(maxsize=4096)
def _canonical(answer: str, grader: str) -> str | None:
    if grader == "exact":
        return answer or None
    number = read_number(answer)
    if grader == "numeric":
        return None if number is None else str(number)
    return expression_text(answer) if number is None else digits(number.numerator, number.denominator)


def _plain_text(text: str) -> str:
    for pattern, plain in _TYPESETTING:
        text = pattern.sub(plain, text)
    return text


def _last_number(text: str) -> Fraction | None:
    """Return the last number of a text, None if its digits are no number by the rules."""
    text = _plain_text(text)
    matches = list(_NUMBER.finditer(text))
    return _value(matches[-1], text[matches[-1].end() :]) if matches else None


def _value(match: re.Match[str], after: str) -> Fraction | None:
    """Return the number of a match of _NUMBER and of the word of magnitude after it."""
    parts = [match[name] for name in ("first", "top", "bottom", "over") if match[name] is not None]
    if not all(len(part) <= _LONGEST and _PLAIN.fullmatch(part) for part in parts):
        return None
    number, *others = (Fraction(part.replace(",", "")) for part in parts)
    if others and not others[-1]:
        return None
    if len(others) == 1:
        number /= others[0]
    elif others:
        if number.denominator != 1 or others[0] >= others[1]:
            return None
        number += others[0] / others[1]
    magnitude = _MAGNITUDE.match(after)
    if magnitude:
        number *= _MAGNITUDES[magnitude[1].lower()]
    return -number if (match["sign"] == "-") != (match["minus"] == "-") else number
