"""Reads and checks solutions to label: steps, reference answer, columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from evalkit.label_steps.config import LabelSteps
from rewards.errors import DataError
from rewards.files import Row, generations
from rewards.solutions.answers import reference_answer, reference_text
from rewards.solutions.steps import split_steps, terminated

WRITTEN = ("completions", "labels", "hard_labels", "soft_labels", "rollouts")
"""Columns of the output beside the input's own."""
SOURCES = ("response", "responses", "steps")
"""Columns that say what `completions` says in the output."""


@dataclass(frozen=True, slots=True)
class UnlabelledSolution:
    """A solution with steps to label."""

    prompt: str
    steps: tuple[str, ...]
    """Verbatim from the data, one or more."""
    prefixes: tuple[str, ...]
    """For each step the solution up to its end; the last is the whole solution."""
    reference: str
    where: str
    id: str
    extra: Mapping[str, object]
    """The row's other columns, the reference answer's among them."""


def solutions(row: Row, config: LabelSteps) -> Iterator[UnlabelledSolution]:
    """Yield the solutions of a row: one, or one for each of its `responses`.

    Steps given as `completions` or `steps` that do not end in the separator are joined by it; a response is
    split after it.

    Raises:
        DataError: There are no steps, no reference answer that the grader can read, a prompt of messages, or
            a column by the name of one that the output writes; the message names place and field.
    """
    values = row.values
    if all(values.get(name) is None for name in ("response", "responses")):
        name = "steps" if values.get("completions") is None and "steps" in values else "completions"
        steps = row.texts_in(name)
        extra = {column: value for column, value in values.items() if column not in ("prompt", "id", name)}
        if not steps:
            raise row.expected(name, "one step or more", [])
        joined = (*terminated(steps[:-1], config.separator), steps[-1])
        yield _solution(row, config, steps, joined, row.id(), extra)
        return
    for generation in generations(row):
        steps = generation.steps or split_steps(generation.response, config.separator)
        if not steps:
            field = "response" if values.get("response") is not None else "responses"
            raise row.expected(field, "a solution of one step or more", generation.response)
        yield _solution(row, config, steps, steps, generation.id, generation.extra)


def _solution(
    row: Row,
    config: LabelSteps,
    steps: tuple[str, ...],
    joined: tuple[str, ...],
    identity: str,
    extra: Mapping[str, object],
) -> UnlabelledSolution:
    prompt = row.prompt()
    if not isinstance(prompt, str):
        # A chat template ends the turn of the assistant, or begins a new one: neither goes on with a step.
        raise DataError(
            f"{row.where}: field 'prompt': expected a text, got messages; steps are completed within a text, "
            "so render the messages with the model's chat template first, up to where the answer begins"
        )
    for name in (*WRITTEN, *SOURCES):
        if extra.get(name) is not None:
            raise DataError(
                f"{row.where}: field {name!r} is a column that the output writes or that says something else "
                f'than its steps; --rename \'{{"{name}": "given_{name}"}}\' keeps it by another name'
            )
    given = extra[config.answer] if config.answer in extra else row.column(config.answer)
    try:
        reference = reference_text(given, config.grader)
        reference_answer(reference, config.grader)
    except DataError as error:
        raise DataError(f"{row.where}: field {config.answer!r}: {error}") from None
    kept = {name: value for name, value in extra.items() if name not in (*WRITTEN, *SOURCES)}
    return UnlabelledSolution(prompt, steps, tuple(accumulate(joined)), reference, row.where, identity, kept)
