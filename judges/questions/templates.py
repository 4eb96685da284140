"""Prompt files: read, checked, and filled so that nothing in an answer can pass for the prompt."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

from judges.questions.question import AnswerForm
from judges.questions.rubric import Rubric
from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.records import Message, Prompt

PROMPTS = Path(__file__).parent / "prompts"
"""The prompts that come with the package; pairwise.txt says how such files are written."""

AXES = ("helpful", "honest", "harmless")
"""Qualities that qualities.txt describes, beside overall."""

Mode = Literal["pairwise", "pointwise"]

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "pairwise": ("prompt", "first", "second", "form"),
    "pointwise": ("prompt", "response", "form"),
}
_OPTIONAL = ("quality", "boundary")
_LABELS = {"first": "ANSWER A", "second": "ANSWER B", "response": "ANSWER", "reference": "REFERENCE"}
_HEADING = re.compile(r"=== (.+) ===\s*")
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with placeholders."""

    user: str
    system: str = ""

    @classmethod
    def load(cls, mode: Mode, path: str = "", reference: bool = False, rubric: bool = False) -> Self:
        """Read a prompt file and check its placeholders.

        Args:
            mode: Whether it shows two answers or one.
            path: The file; empty takes the one that comes with the package.
            reference: Whether a reference answer is shown.
            rubric: Whether `quality` holds a rubric's criteria, and so cannot be left out.

        Raises:
            MissingFileError: There is no such file.
            DataError: A section or a placeholder is missing or unknown; the message names the file.
        """
        own = PROMPTS / f"{mode}{'_reference' if reference else ''}.txt"
        source = Path(path) if path else own
        sections = read_sections(source)
        for name in sections:
            if name not in ("system", "user"):
                raise DataError(f"{source}: section {name!r} is unknown; known: system, user")
        if not sections.get("user", "").strip():
            raise DataError(f"{source}: no text under a line '=== user ==='")
        template = cls(sections["user"], sections.get("system", ""))
        required = (*_REQUIRED[mode], *(["reference"] if reference else []), *(["quality"] if rubric else []))
        _check_placeholders(source, template.placeholders(), required)
        return template

    def placeholders(self) -> set[str]:
        """Return the names of the placeholders in either part."""
        found = _PLACEHOLDER.finditer(f"{self.system}\n{self.user}")
        return {match[2] for match in found if match[2]}

    def messages(
        self, prompt: Prompt, shown: Mapping[str, str], said: Mapping[str, str]
    ) -> tuple[Message, ...]:
        """Fill in a prompt and the texts to be judged.

        Every text stands between marker lines with a code that stands in none of them, and is put in
        once: a placeholder inside it stays text. Equal arguments give equal messages.

        Args:
            prompt: The prompt of the answers.
            shown: Texts by placeholder: `first` and `second`, or `response`; and `reference`.
            said: The prompt's own texts by placeholder: `quality` and `form`.
        """
        turns = _turns(prompt)
        code = boundary([*(text for turn in turns for text in (turn.role, turn.content)), *shown.values()])
        values = {**said, "boundary": code, "prompt": _prompt_block(turns, code)}
        values |= {name: _block(_LABELS[name], text, code) for name, text in shown.items()}
        if "reference" in shown:
            values["reference"] = f"{packaged('blocks')['reference']}\n{values['reference']}"
        parts = (("system", self.system), ("user", self.user))
        return tuple(Message(role, substitute(part, values)) for role, part in parts if part)


def boundary(texts: Sequence[str]) -> str:
    """Return a code that stands in none of the texts: a hash of them all, lengthened until that is so."""
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
    code = digest[:16]
    # A reader may take upper case for the same code.
    lowered = [text.lower() for text in texts]
    while any(code in text for text in lowered):
        digest = hashlib.sha256(digest.encode()).hexdigest()
        code += digest[:16]
    return code


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Substitute values for placeholders in one pass, so that placeholders within values stay text."""
    return _PLACEHOLDER.sub(lambda found: values[found[2]] if found[2] else f"{{{found[1]}}}", text)


def form_text(form: AnswerForm) -> str:
    """Return the prompt's text on the form of the answer."""
    if form.kind == "pairwise":
        return packaged("forms")[f"pairwise {form.style}{', ties' if form.ties else ''}"]
    named = "criteria" if form.criteria else "grade"
    line = "[[{}: GRADE]]" if form.style == "text" else "- {}"
    criteria = "\n".join(line.format(name) for name in form.criteria)
    values = {"low": str(form.low), "high": str(form.high), "criteria": criteria}
    return substitute(packaged("forms")[f"{named} {form.style}"], values)


def quality_text(axis: str = "", rubric: Rubric | None = None) -> str:
    """Return the prompt's text on the quality to judge.

    Raises:
        ConfigError: The axis is not one of AXES.
    """
    if rubric:
        lines = (f"- {one.name}: {one.description}" for one in rubric.criteria)
        return substitute(packaged("qualities")["rubric"], {"criteria": "\n".join(lines)})
    if axis and axis not in AXES:
        raise ConfigError(
            f"axis {axis!r} is described nowhere; known: {', '.join(AXES)}, or describe it in a prompt file "
            "without {quality}"
        )
    return packaged("qualities")[axis or "overall"]


@cache
def packaged(name: str) -> Mapping[str, str]:
    """Return the sections of a file of prompts/."""
    return read_sections(PROMPTS / f"{name}.txt")


def read_sections(path: Path) -> dict[str, str]:
    """Read a file of sections, each under a line `=== name ===`; what stands above the first is a comment.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is not UTF-8, or has a section twice.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such prompt file")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for number, line in enumerate(lines, 1):
        heading = _HEADING.fullmatch(line)
        if heading and heading[1] in sections:
            raise DataError(f"{path}:{number}: section {heading[1]!r} stands twice")
        if heading:
            current = sections[heading[1]] = []
        else:
            current.append(line)
    return {name: "\n".join(lines).strip() for name, lines in sections.items()}


def _check_placeholders(source: Path, found: set[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in found:
            raise DataError(f"{source}: placeholder {{{name}}} is missing")
    for name in sorted(found - {*required, *_OPTIONAL}):
        remedy = "; it needs reference=true" if name == "reference" else ""
        known = ", ".join(f"{{{one}}}" for one in dict.fromkeys((*required, *_OPTIONAL)))
        raise DataError(
            f"{source}: placeholder {{{name}}} is unknown{remedy}; known: {known}; {{{{{name}}}}} is sent "
            f"as {{{name}}}"
        )


def _turns(prompt: Prompt) -> tuple[Message, ...]:
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt


def _prompt_block(turns: Sequence[Message], code: str) -> str:
    if len(turns) == 1 and turns[0].role == "user":
        return f"{packaged('blocks')['request']}\n{_block('REQUEST', turns[0].content, code)}"
    return "\n".join((packaged("blocks")["conversation"], *_numbered(turns, code)))


def _numbered(turns: Sequence[Message], code: str) -> Iterator[str]:
    for number, turn in enumerate(turns, 1):
        # A role is anybody's text too: quoted where it could end the marker's line.
        role = turn.role if re.fullmatch(r"[\w-]+", turn.role) else json.dumps(turn.role)
        yield _block(f"MESSAGE {number} BY {role}", turn.content, code)


def _block(label: str, text: str, code: str) -> str:
    return f"<<<{code} BEGIN {label}>>>\n{text}\n<<<{code} END {label}>>>"
