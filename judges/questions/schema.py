"""Structured outputs: the JSON schema for a judge's answer, and parsing the answer."""

import json
from collections.abc import Mapping
from typing import NoReturn

from judges.questions.question import AnswerForm


def offered(form: AnswerForm) -> list[str]:
    """Return the letters that a pairwise answer may be."""
    return ["A", "B", "C"] if form.ties else ["A", "B"]


def response_format(form: AnswerForm) -> dict[str, object]:
    """Return the `response_format` of a request whose answer has the style schema, strict."""
    grade: dict[str, object] = {"type": "integer", "enum": list(range(form.low, form.high + 1))}
    field = grade
    if form.kind == "pairwise":
        field = {"type": "string", "enum": offered(form)}
    elif form.criteria:
        field = _object_schema(dict.fromkeys(form.criteria, grade))
    schema = _object_schema({"explanation": {"type": "string"}, _field(form): field})
    return {"type": "json_schema", "json_schema": {"name": "judgement", "strict": True, "schema": schema}}


def filled_in(form: AnswerForm, text: str) -> object:
    """Return the verdict, grade or grades of a reply that is exactly the schema's object.

    A single code fence around the object is allowed, for some endpoints add one.

    Raises:
        ValueError: It is no JSON, has fields that are missing, unknown or repeated, or a NaN.
    """
    body = text.strip()
    first, _, rest = body.partition("\n")
    if first.strip().lower() in ("```", "```json") and rest.endswith("```"):
        body = rest.removesuffix("```")
    try:
        decoded = json.loads(body, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    fields = {"explanation", _field(form)}
    if not isinstance(decoded, Mapping) or set(decoded) != fields:
        raise ValueError(f"not an object of exactly {', '.join(sorted(fields))}")
    if not isinstance(decoded["explanation"], str):
        raise ValueError("explanation is not a text")
    return decoded[_field(form)]


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _object_schema(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _field(form: AnswerForm) -> str:
    if form.kind == "pairwise":
        return "verdict"
    return "grades" if form.criteria else "grade"
