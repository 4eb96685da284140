"""Reads a judge's reply, and never guesses: what is not in the form that was asked for is no verdict."""

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from judges.judge import Winner
from judges.preference import verdict_preference
from judges.question import AnswerForm, Attempt, Question, State
from judges.reply import Reply
from judges.schema import filled_in, offered

_WINNERS: Mapping[str, Winner] = {"A": "first", "B": "second", "C": "tie"}
_OVERALL = "overall"
_BRACKETED = re.compile(r"(?<!\[)\[\[([^\[\]]*+)\]\](?!\])")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_OTHER_SCALE = re.compile(r"\s*/\s*([0-9]+)|[.,]([0-9]+)")
_THINKING = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_LISTING = re.compile(
    r"[^\w\n]*(?:[,;/|&]|(?:(?:or|and|nor|not|vs|versus)\b[^\w\n]*){1,2}|if\b[^\n]*)[^\w\n]*", re.IGNORECASE
)
"""What stands between two verdicts that are listed, as instructions list them, rather than given."""
_LONGEST_LISTING = 200
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


class _NoAnswer(Exception):  # noqa: N818  # not an error: one of the things that may come of asking
    def __init__(self, state: State, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


def read_reply(question: Question, reply: Reply, time: str) -> Attempt:
    """Read what a judge answered.

    - Text: the last [[...]] counts, and has to be one of the verdicts on offer; a reply that was cut off
      has none, and neither has one that only lists them (`[[A]] or [[B]]`). Grades by criteria are the last
      [[criterion: grade]], as many as there are criteria and each criterion once.
    - Letter: the letter and nothing else, white space aside.
    - Schema: one JSON object with exactly the fields of the schema, in a code fence or none.

    What stands before `</think>` is not part of the answer. The winner is what was said, whatever
    preference the reply's log-probabilities give.

    Args:
        question: What was asked.
        reply: What came back.
        time: When, ISO 8601, UTC.
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
    cut_off = reply.finish == "length"
    if cut_off and form.style == "text":
        _fail("cut off at max_tokens")
    text = _after_thinking(reply.text)
    try:
        if not text.strip():
            _fail("an empty reply")
        return _pairwise(form, reply, text) if form.kind == "pairwise" else {"grades": _grades(form, text)}
    except _NoAnswer as missing:
        if cut_off:
            _fail(f"cut off at max_tokens: {missing.detail}")
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
    _check_chosen(text, found)
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
    if not form.criteria:
        _check_chosen(text, found)
    grades: dict[str, int] = {}
    for match in found[-len(names) :]:
        scale = _OTHER_SCALE.match(text, match.end())
        if scale and scale[1] != str(form.high):
            _fail(f"{_short(match[0] + scale[0])} is not a whole number from {form.low} to {form.high}")
        name, number = _OVERALL, match[1]
        if form.criteria:
            name, _, number = match[1].rpartition(":")
        name, number = name.strip(), number.strip()
        if name not in names or not _NUMBER.fullmatch(number):
            wanted = "[[criterion: grade]] once for each criterion" if form.criteria else "[[grade]]"
            _fail(f"{_short(match[0])} where {wanted} was asked for")
        grades[name] = _in_range(form, name, int(number))
    return _complete(names, grades)


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


def _check_chosen(text: str, found: Sequence[re.Match[str]]) -> None:
    if len(found) < 2 or found[-2][1].strip() == found[-1][1].strip():
        return
    between = text[found[-2].end() : found[-1].start()]
    if len(between) <= _LONGEST_LISTING and _LISTING.fullmatch(between):
        _fail(f"lists several and gives none: {_short(text[found[-2].start() : found[-1].end()])}")


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


def _short(text: str) -> str:
    plain = " ".join(text[:200].split())
    return repr(plain if len(plain) <= 60 else plain[:57] + "...")
