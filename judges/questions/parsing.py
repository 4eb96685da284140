"""Parse a judge's reply, never guessing: a reply without the requested form has no verdict."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from judges.judge import Winner
from judges.questions.question import AnswerForm, Attempt, Question, State
from judges.questions.reply import Reply, Token
from judges.questions.schema import filled_in, offered

_WINNERS: Mapping[str, Winner] = {"A": "first", "B": "second", "C": "tie"}
_OVERALL = "overall"
_CUT_OFF = ("length", "max_tokens", "model_length", "abort", "error")
"""Finish reasons of an incomplete reply."""
_BRACKETED = re.compile(r"(?<!\[)\[\[([^\[\]]*+)\]\](?!\])")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_OTHER_SCALE = re.compile(r"[*_]*(?:\s*(?:/|out of)\s*([0-9]+)|[.,]([0-9]+)|\s*%)", re.IGNORECASE)
_THINKING = re.compile(r"<(/?)think(?:ing)?\s*>", re.IGNORECASE)
_LABEL = re.compile(
    r"""[^\w\n]*(?:[0-9]+[.)][^\w\n]*)?
    (?:(?:my|the|our)\ )?(?:(?:final|overall)\ )?
    (?:(?:verdict|decision|judge?ment|choice|winner|conclusion|answer|result|grade|score|rating)\b)?
    [^\w\n]*(?:is\b[^\w\n]*)?""",
    re.IGNORECASE | re.VERBOSE,
)
"""Labels allowed before a verdict on a line of its own."""
_QUOTING = re.compile(r"""["'`\u201c\u2018\u00ab\u201e][*_]*$""")
_QUOTED = re.compile(r"""[*_.]*["'`\u201d\u2019\u00bb]""")
_DENYING = re.compile(
    r"(?:\b(?:not|never|neither|nor|than)|n['\u2019]t)(?:[^\w.,;:!?]+\w+){0,2}[^\w.,;:!?]+$", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?!\w)")
_GIVEN_ON = re.compile(
    r"""[*_`"')\]]*(?:
        [.!?:;]+(?=\s+[^a-z]|\s*$)
        | \s*$
        | \s*\n\s*(?![a-z])
        | [,;:]?\ +(?:because|since|as|due\ to|for\ the|is\ (?:the\ )?better|wins)\b
    )""",
    re.VERBOSE,
)
"""What may follow a verdict that is given in a sentence: the sentence's end, or the reason."""
_REVISING = re.compile(
    r"\b(?:but|so|then|therefore|thus|hence|however|finally|instead|rather|actually|overall|reflection|"
    r"correction|reconsider\w*|final|conclu\w+)\b",
    re.IGNORECASE,
)
"""A word between two verdicts which tells that the second takes the place of the first."""
_LINE = 100
"""Characters of a line that are inspected on either side of a verdict."""
_REFUSAL = re.compile(
    r"""[\s"'*>]*(?:
        (?:i'?m|i\ am)\ (?:(?:very|so|really|truly|terribly)\ )?(?:sorry|afraid|unable|not\ able)\b
        | (?:my\ apologies|sorry|apologies)\b
        | i\ (?:sincerely\ )?apologi[sz]e\b
        | (?:unfortunately,?\ )?i\ (?:can'?t|cannot|can\ not|won'?t|will\ not|must\ decline|decline)\b
        | as\ an\ ai\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)


LEAST_MASS = 0.5
"""A preference is given only where the verdicts on offer have more than this probability together."""


class _NoAnswer(Exception):  # noqa: N818  # not an error: one of the things that may come of asking
    def __init__(self, state: State, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


def read_reply(question: Question, reply: Reply, time: str) -> Attempt:
    """Parse a judge's reply.

    - Text: the last [[...]] counts, where it is one of the verdicts on offer and is given: it ends a sentence
      or the reply, stands alone on its line, or is followed by its reason. One that is quoted, mentioned or
      denied is no verdict; there is none where two that differ are given (`[[A]] or [[B]]`) and no word
      between says that the second replaces the first (`[[A]] at first, but [[B]]`), nor in a reply that was
      cut off.
      Grades by criteria are the last [[criterion: grade]], as many as there are criteria and each once.
    - Letter: the letter and nothing else, white space aside.
    - Schema: one JSON object with exactly the fields of the schema, in a code fence or none.

    What stands before `</think>` is not part of the answer. The winner is what was said, whatever
    preference the reply's log-probabilities give.

    Args:
        question: The question.
        reply: The reply.
        time: Time of the reply, ISO 8601, UTC.
    """
    words = reply.text or reply.refusal
    try:
        result = _result(question.form, reply)
    except _NoAnswer as missing:
        return Attempt(question.key, missing.state, {}, words, missing.detail, reply.usage, time)
    return Attempt(question.key, "ok", result, words, "", reply.usage, time)


def _result(form: AnswerForm, reply: Reply) -> dict[str, object]:
    if reply.refusal:
        raise _NoAnswer("refused", "the endpoint gives the reply as a refusal")
    if reply.finish == "content_filter":
        raise _NoAnswer("refused", "stopped by the endpoint's content filter")
    cut_off = reply.finish in _CUT_OFF
    if cut_off and form.style == "text":
        _fail(_told(reply))
    # An object's explanation may quote a tag.
    whole = form.style == "schema" and reply.text.lstrip().startswith("{")
    text = reply.text if whole else _after_thinking(reply.text)
    try:
        if not text.strip():
            _fail("an empty reply")
        return _pairwise(form, reply, text) if form.kind == "pairwise" else {"grades": _grades(form, text)}
    except _NoAnswer as missing:
        if cut_off:
            _fail(f"{_told(reply)}: {missing.detail}")
        raise


def _after_thinking(text: str) -> str:
    """Return the answer proper, which is the text's end, without the reasoning before it."""
    tags = list(_THINKING.finditer(text))
    closed = [tag.end() for tag in tags if tag[1]]
    if tags and not tags[-1][1]:
        _fail("its thinking never ends")
    return text[closed[-1] :] if closed else text


def _pairwise(form: AnswerForm, reply: Reply, text: str) -> dict[str, object]:
    readers = {"text": _bracketed_letter, "letter": _bare_letter, "schema": _schema_letter}
    place = readers[form.style](form, text)
    preference = verdict_preference(reply, len(reply.text) - len(text) + place, offered(form))
    result: dict[str, object] = {"winner": _WINNERS[text[place]]}
    return result if preference is None else {**result, "preference": preference}


def _bracketed_letter(form: AnswerForm, text: str) -> int:
    """Return where the letter of the last bracketed verdict stands."""
    found = _bracketed(text)
    last = found[-1]
    letter = last[1].strip()
    if letter not in offered(form):
        _fail(f"{_short(last[0])} is not among {', '.join(offered(form))}")
    _check_given(text, [match for match in found if match[1].strip() in offered(form)], last.end())
    return last.start(1) + last[1].index(letter)


def _bare_letter(form: AnswerForm, text: str) -> int:
    letter = text.strip()
    if letter not in offered(form):
        _fail_unbracketed(text, f"not one letter of {', '.join(offered(form))}")
    return text.index(letter)


def _schema_letter(form: AnswerForm, text: str) -> int:
    letter = _filled_in(form, text)
    if not isinstance(letter, str) or letter not in offered(form):
        _fail(f"verdict is one of {', '.join(offered(form))}, got {_short(repr(letter))}")
    # In an explanation the quotation marks would be escaped; a letter written \u0041 has no place.
    places = [found.start(1) for found in re.finditer(r'(?<!\\)"verdict"\s*:\s*"([ABC])"', text)]
    if not places:
        _fail("verdict is written with escapes")
    return places[-1]


def _grades(form: AnswerForm, text: str) -> dict[str, int]:
    if form.style == "schema":
        return _schema_grades(form, text)
    if form.style == "letter":
        _fail("a grade is no letter")
    found = _bracketed(text)
    names = form.criteria or (_OVERALL,)
    grades: dict[str, int] = {}
    end = 0
    for match in found[-len(names) :]:
        scale = _OTHER_SCALE.match(text, match.end())
        if scale and scale[1] != str(form.high):
            _fail(f"{_short(match[0] + scale[0])} is not a whole number from {form.low} to {form.high}")
        name, number = _graded(form, match)
        if name not in names or not number:
            wanted = "[[criterion: grade]] once for each criterion" if form.criteria else "[[grade]]"
            _fail(f"{_short(match[0])} where {wanted} was asked for")
        grades[name] = _in_range(form, name, int(number))
        end = scale.end() if scale else match.end()
    given = [match for match in found if _graded(form, match)[0] in names and _graded(form, match)[1]]
    if not form.criteria:
        _check_given(text, given, end)
    elif len(given) % len(names):
        _fail(f"{len(given)} grades for {len(names)} criteria")
    return _complete(names, grades)


def _graded(form: AnswerForm, match: re.Match[str]) -> tuple[str, str]:
    """Return the name and the number of a bracketed grade, the number empty where it is none."""
    name, _, number = match[1].rpartition(":") if form.criteria else (_OVERALL, "", match[1])
    return name.strip(), number.strip() if _NUMBER.fullmatch(number.strip()) else ""


def _schema_grades(form: AnswerForm, text: str) -> dict[str, int]:
    given = _filled_in(form, text)
    if not form.criteria:
        return {_OVERALL: _in_range(form, "grade", given)}
    if not isinstance(given, Mapping) or not set(given) <= set(form.criteria):
        _fail(f"grades is an object of {', '.join(form.criteria)}, got {_short(repr(given))}")
    return _complete(form.criteria, {name: _in_range(form, name, given[name]) for name in given})


def _complete(names: Sequence[str], grades: Mapping[str, int]) -> dict[str, int]:
    missing = [name for name in names if name not in grades]
    if missing:
        _fail(f"no grade for {', '.join(missing)}")
    return {name: grades[name] for name in names}


def _in_range(form: AnswerForm, name: str, grade: object) -> int:
    if isinstance(grade, bool) or not isinstance(grade, int) or not form.low <= grade <= form.high:
        _fail(f"{name} is a whole number from {form.low} to {form.high}, got {_short(repr(grade))}")
    return grade


def _bracketed(text: str) -> list[re.Match[str]]:
    """Return everything in double square brackets, at least one, the last of which ends the text's last."""
    found = list(_BRACKETED.finditer(text))
    if not found:
        _fail_unbracketed(text, "nothing in double square brackets")
    if text.rfind("[[") >= found[-1].end():
        _fail("its last double square bracket is not closed")
    return found


def _check_given(text: str, found: Sequence[re.Match[str]], end: int) -> None:
    """Fail where the last of the bracketed verdicts is not given as one: mentioned, quoted, listed, denied.

    Args:
        text: The reply.
        found: All that is on offer, the last that counts last.
        end: Where the last ends, with what belongs to it.
    """
    last = found[-1]
    others = [match for match in found if match[1].strip() != last[1].strip()]
    before, shown = _line_before(text, last.start()), _short(last[0])
    alone = _is_alone(text, last.start(), end)
    in_code = text.count("```", 0, end) % 2 == 1
    if re.search(r"\w", text[end:]) and (in_code or not (alone or _GIVEN_ON.match(text, end))):
        _fail(f"{shown} is mentioned, not given: {_short(before + text[last.start() : end + _LINE])}")
    if before.lstrip().startswith(">") or (not alone and _is_quoted(text, last.start(), end)):
        _fail(f"{shown} is quoted")
    if not alone and _DENYING.search(before):
        _fail(f"{shown} is denied: {_short(before + last[0])}")
    for other in others:
        one_sentence = not _SENTENCE_END.search(text, other.end(), last.start())
        given_too = one_sentence or _is_alone(text, other.start(), other.end())
        if given_too and not _REVISING.search(text, other.end(), last.start()):
            _fail(f"gives several: {_short(other[0])} and {shown}")


def _is_alone(text: str, start: int, end: int) -> bool:
    after = text[end : end + _LINE].partition("\n")[0]
    return bool(_LABEL.fullmatch(_line_before(text, start))) and not re.search(r"\w", after)


def _is_quoted(text: str, start: int, end: int) -> bool:
    return bool(_QUOTING.search(_line_before(text, start)) or _QUOTED.match(text, end))


def _line_before(text: str, place: int) -> str:
    return text[max(0, place - _LINE) : place].rpartition("\n")[2]


def _filled_in(form: AnswerForm, text: str) -> object:
    try:
        return filled_in(form, text)
    except ValueError as error:
        _fail_unbracketed(text, f"not JSON as asked for, {error}")


def _fail(detail: str) -> NoReturn:
    raise _NoAnswer("parse_failed", detail)


def _fail_unbracketed(text: str, detail: str) -> NoReturn:
    """Fail on a reply in which nothing has the form of an answer; it may be a refusal in prose."""
    if _REFUSAL.match(text[:200].replace("\u2019", "'")):
        raise _NoAnswer("refused", "refuses in its own words")
    _fail(f"{detail}: {_short(text)}")


def _told(reply: Reply) -> str:
    return "cut off at max_tokens" if reply.finish == "length" else f"cut off: {reply.finish}"


def _short(text: str) -> str:
    plain = " ".join(text[:200].split())
    return repr(plain if len(plain) <= 60 else plain[:57] + "...")


def verdict_preference(reply: Reply, place: int, letters: Sequence[str]) -> float | None:
    """Return the probability that the response shown first is better.

    It is (P(A) + P(C)/2) / (P(A) + P(B) + P(C)) at the token that holds the verdict's letter, as AlpacaEval
    2 takes it (with A and B alone). A letter that the endpoint does not list has probability 0; ` A` and
    `A` are one letter.

    Args:
        reply: The reply, with its tokens.
        place: Where the verdict's letter stands in the reply's text.
        letters: The verdicts on offer: A, B and perhaps C.

    Returns:
        None where there are no tokens, or none with the letter; where the endpoint lists no alternatives
        there; or where the letters have LEAST_MASS together or less.
    """
    joined = "".join(token.text for token in reply.tokens)
    if not joined.startswith(reply.text):  # it holds a thought besides, or lacks white space
        place = joined.rfind(reply.text[place:])
    start = 0
    for token in reply.tokens if place >= 0 else ():
        if place < start + len(token.text):
            return _letter_preference(token, place - start, letters)
        start += len(token.text)
    return None


def _letter_preference(token: Token, place: int, letters: Sequence[str]) -> float | None:
    # A tokenizer may merge the letter with its brackets: its alternatives are then merged alike.
    before, after = token.text[:place], token.text[place + 1 :]
    mass = dict.fromkeys("ABC", 0.0)
    for letter in letters:
        wanted = f"{before}{letter}{after}".strip()
        found = [value for text, value in token.alternatives.items() if text.strip() == wanted]
        mass[letter] = math.fsum(math.exp(value) for value in found if value <= 0)
    total = mass["A"] + mass["B"] + mass["C"]
    if len(token.alternatives) < 2 or total <= LEAST_MASS:
        return None
    return min(1.0, (mass["A"] + mass["C"] / 2) / total)
