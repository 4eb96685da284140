"""Instructions to a model: the options of a specification openai:MODEL?..., checked, and its questions."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import cast, get_args

from judges.asking.config import AskingConfig
from judges.asking.endpoint import Endpoint
from judges.asking.session import OPENAI, Session
from judges.judge import Comparison
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, AnswerStyle, Question
from judges.questions.rubric import Rubric
from judges.questions.schema import response_format
from judges.questions.templates import Mode, Template, form_text, quality_text
from rewards.errors import ConfigError, DataError, SpecError
from rewards.records import Generation, Prompt
from rewards.scorers.rules import row_name
from rewards.specs import Spec

MAX_TOKENS: Mapping[AnswerStyle, int] = {"text": 2048, "letter": 16, "schema": 2048}
"""Default maximum tokens of a reply."""
REASONING_TOKENS = 16_384
"""The same for a reasoning model, whose reasoning tokens count too."""

_REASONING = re.compile(r"(?:ft:)?(?:o[1-9]|gpt-[5-9])(?!.*-chat)")
"""Names of OpenAI's models that refuse max_tokens and a temperature."""

COMMON = (
    "answer",
    "reference",
    "axis",
    "prompt",
    "temperature",
    "max_tokens",
    "tokens_field",
    "seed",
    "repeat",
)
ONLY_IN: Mapping[str, Mode] = {
    "ties": "pairwise",
    "logprobs": "pairwise",
    "top_logprobs": "pairwise",
    "rubric": "pointwise",
    "margin": "pointwise",
}
"""Options that have a meaning in one mode alone."""

OF_A_RUN = tuple(
    one.name for one in fields(AskingConfig) if one.name not in ("ledger", "base_url", "api_key")
)
"""Options that a specification may set, unless its run sets them."""


@dataclass(frozen=True)
class Instructions:
    """Everything of a question except the texts to judge."""

    judge: str
    """The judge, `openai:MODEL`."""
    endpoint: str
    template: Template
    form: AnswerForm
    quality: str
    """The prompt's text on the quality to judge."""
    parameters: Mapping[str, object]
    """Of the request."""
    reference: bool = False
    """Whether the column `reference` is shown."""
    repeat: int = 0
    rubric: Rubric | None = None
    """Where there is one, the quality's criteria."""

    def question(
        self, prompt: Prompt, shown: Mapping[str, str], extra: Mapping[str, object], row: str
    ) -> Question:
        """Return the question about some texts.

        Args:
            prompt: The prompt of the texts.
            shown: Texts by placeholder: `first` and `second`, or `response`.
            extra: The row's other columns, among them `reference` where one is shown.
            row: The row's name in an error.

        Raises:
            DataError: A reference is to be shown and the row has none.
        """
        if self.reference:
            reference = extra.get("reference")
            if not isinstance(reference, str) or not reference.strip():
                raise DataError(
                    f"{row}: reference=true shows the text in column 'reference', got {reference!r}; "
                    "--rename maps names"
                )
            shown = {**shown, "reference": reference}
        said = {"quality": self.quality, "form": form_text(self.form)}
        messages = self.template.messages(prompt, shown, said)
        return Question(self.judge, self.endpoint, messages, self.form, self.parameters, self.repeat)


def read_instructions(spec: Spec, model: str, mode: Mode, session: Session) -> Instructions:
    """Read the options of a specification that say how a model is asked.

    Raises:
        SpecError: An option is unknown, out of its range, or makes no sense with another.
        MissingFileError: There is no such prompt or rubric.
        DataError: The prompt or the rubric is not what was expected.
    """
    if not model:
        raise SpecError(f"{spec.text}: name the model, as in openai:MODEL")
    style = _style(spec, mode)
    axis, reference = read_axis(spec, session), spec.flag("reference")
    rubric = Rubric.load(spec.options["rubric"]) if "rubric" in spec.options else None
    if rubric and axis:
        raise SpecError(f"{spec.text}: a rubric says itself what is judged; leave out axis {axis!r}")
    template = Template.load(mode, spec.options.get("prompt", ""), reference, rubric is not None)
    form = _form(spec, mode, style, rubric)
    try:
        quality = quality_text(axis, rubric) if "quality" in template.placeholders() else ""
    except ConfigError as error:
        raise SpecError(f"{spec.text}: {error}") from None
    endpoint = _endpoint(spec, model, session)
    parameters = _parameters(spec, form, endpoint == OPENAI and bool(_REASONING.match(model)))
    repeat = read_whole(spec, "repeat", session.repeat)
    judge = f"openai:{model}"
    return Instructions(judge, endpoint, template, form, quality, parameters, reference, repeat, rubric)


def _endpoint(spec: Spec, model: str, session: Session) -> str:
    address = spec.options.get("base_url", "")
    if address and Endpoint.at(address, model).secret:
        raise SpecError(
            f"openai:{model}: its base_url has a password or a query, and verdicts repeat a specification; "
            "give the address by --base_url or OPENAI_BASE_URL"
        )
    return session.endpoint(address)


def open_session(spec: Spec, session: Session | None) -> Session:
    """Return the session that a specification is asked in; its own options go before those of the run.

    Raises:
        SpecError: A setting is out of its range, or belongs to the run.
    """
    own = [name for name in OF_A_RUN if name in spec.options]
    path = spec.options.get("ledger", "")
    if session is None:
        return Session.open(_asking_config(spec, path, own))
    if own:
        raise SpecError(f"{spec.text}: {own[0]} is set for the whole run, as --{own[0]}")
    if path and path != session.config.ledger:
        return replace(session, ledger=Ledger(path))
    return session


def check_options(spec: Spec, mode: Mode, *others: str) -> None:
    """Refuse unknown options.

    Args:
        spec: The specification.
        mode: Whether answers are compared or graded.
        others: Options known beside those of the mode.

    Raises:
        SpecError: An option is unknown, or belongs to another mode.
    """
    for name, needed in ONLY_IN.items():
        if name in spec.options and needed != mode:
            raise SpecError(f"{spec.text}: option {name} is for mode={needed}, got mode={mode}")
    in_mode = (name for name, needed in ONLY_IN.items() if needed == mode)
    spec.allow(*COMMON, *in_mode, *others, "base_url", "ledger", *OF_A_RUN)


def read_axis(spec: Spec, session: Session) -> str:
    """Return the quality to judge: the specification's, else the run's; empty is overall."""
    axis = spec.options.get("axis", session.axis)
    return "" if axis == "overall" else axis


def comparison_name(comparison: Comparison) -> str:
    """Return a comparison's name in errors."""
    return row_name(Generation(comparison.prompt, "", id=comparison.id))


def judge_name(spec: Spec, model: str) -> str:
    """Return the judge's name in verdicts: the model, and every option that changes its questions."""
    elsewhere = ("axis", "repeat", "base_url", "ledger", *OF_A_RUN)
    told = sorted(pair for pair in spec.options.items() if pair[0] not in elsewhere)
    options = "&".join(f"{name}={value}" for name, value in told)
    return f"openai:{model}{'?' if options else ''}{options}"


def read_whole(spec: Spec, name: str, default: int, least: int = 0) -> int:
    """Return an option that is a whole number, `least` or more.

    Raises:
        SpecError: It is not.
    """
    value = spec.option(name, default)
    if not math.isfinite(value) or value != int(value) or value < least:
        raise SpecError(
            f"{spec.text}: option {name} is a whole number from {least}, got {spec.options[name]!r}"
        )
    return int(value)


def _style(spec: Spec, mode: Mode) -> AnswerStyle:
    style = spec.options.get("answer", "text")
    known = [name for name in get_args(AnswerStyle) if mode == "pairwise" or name != "letter"]
    if style not in known:
        raise SpecError(f"{spec.text}: option answer with mode={mode} is {', '.join(known)}, got {style!r}")
    return cast(AnswerStyle, style)


def _form(spec: Spec, mode: Mode, style: AnswerStyle, rubric: Rubric | None) -> AnswerForm:
    if mode == "pairwise":
        return AnswerForm("pairwise", style, spec.flag("ties", True))
    if rubric is None:
        return AnswerForm("grade", style)
    names = tuple(one.name for one in rubric.criteria)
    return AnswerForm("grade", style, criteria=names, low=rubric.low, high=rubric.high)


def _parameters(spec: Spec, form: AnswerForm, reasons: bool) -> dict[str, object]:
    """Return a request's parameters: those given, else defaults for a reasoning model or another."""
    parameters: dict[str, object] = {}
    if spec.options.get("temperature", "default" if reasons else "") != "default":
        temperature = spec.option("temperature", 0.0)
        if not 0 <= temperature <= 2:
            raise SpecError(
                f"{spec.text}: option temperature is from 0 to 2, or default to leave it to the endpoint, "
                f"got {spec.options['temperature']!r}"
            )
        parameters["temperature"] = temperature
    most = REASONING_TOKENS if reasons else MAX_TOKENS[form.style]
    parameters[_tokens_field(spec, reasons)] = read_whole(spec, "max_tokens", most, 1)
    if "seed" in spec.options:
        parameters["seed"] = read_whole(spec, "seed", 0)
    if spec.flag("logprobs"):
        parameters |= {"logprobs": True, "top_logprobs": read_whole(spec, "top_logprobs", 5, 2)}
    elif "top_logprobs" in spec.options:
        raise SpecError(f"{spec.text}: option top_logprobs needs logprobs=true")
    if form.style == "schema":
        parameters["response_format"] = response_format(form)
    return parameters


def _tokens_field(spec: Spec, reasons: bool) -> str:
    field = spec.options.get("tokens_field", "max_completion_tokens" if reasons else "max_tokens")
    if field not in ("max_tokens", "max_completion_tokens"):
        raise SpecError(
            f"{spec.text}: option tokens_field is max_tokens or max_completion_tokens, got {field!r}"
        )
    return field


def _asking_config(spec: Spec, ledger: str, own: list[str]) -> AskingConfig:
    known = AskingConfig()
    values: dict[str, object] = {}
    for name in own:
        kind = type(getattr(known, name))
        if kind is bool:
            values[name] = spec.flag(name)
        elif kind is int:
            values[name] = read_whole(spec, name, 0)
        else:
            values[name] = spec.options[name] if kind is str else spec.option(name, 0.0)
    try:
        base_url = spec.options.get("base_url", "")
        return replace(known, ledger=ledger, base_url=base_url, **values)  # type: ignore[arg-type]  # read by kind
    except ConfigError as error:
        raise SpecError(f"{spec.text}: {error}") from None
