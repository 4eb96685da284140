r"""GSM8K: grade-school problems with worked solutions, and four models' solutions graded by their answer.

    python -m rewards.data.gsm8k --data example_model_solutions.jsonl --out graded.jsonl

Source: `train.jsonl`, `test.jsonl` and `example_model_solutions.jsonl` under `grade_school_math/data` of the
repository `openai/grade-school-math`, or `hub:openai/gsm8k?name=main&split=train`; MIT licence. Cobbe et al.
2021, "Training Verifiers to Solve Math Word Problems" (2110.14168). Of the four models two were tuned to
write solutions and two choose among samples by a verifier, each with 6 and with 175 billion parameters.

The rows written are what `evalkit train correctness`, `score`, `accuracy` and `label-steps` read. A prompt is
the question and a line break, since prompt and response are joined as they are.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rewards.data.streams import id_of
from rewards.errors import DataError, EvalkitError
from rewards.files import Row, read_rows, write_rows
from rewards.solutions.answers import final_answer
from rewards.solutions.steps import split_steps

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
"""Models that wrote the example solutions, in column order."""

_CALCULATION = re.compile(r"<<[^<>\n]*>>")
_REFERENCE = re.compile(r"^####[ \t]*(\S[^\n]*?)[ \t]*\n?\Z", re.MULTILINE)


@dataclass(frozen=True)
class Convert:
    """Write a file of GSM8K as rows that the commands read."""

    data: str
    """Problems {question, answer} or graded solutions {question, ground_truth, MODEL: {...}}; recognised."""
    out: str
    """File of rows {prompt, response, steps, answer} or {prompt, responses, corrects, models, answers}."""
    calculations: bool = True
    """Keep the calculator's notes, such as <<48/2=24>>."""
    overwrite: bool = False
    """Replace a finished output."""


def main(config: Convert) -> None:
    """Convert a file, and print how many rows of each kind it has."""
    rows = list(load_gsm8k(config.data, config.calculations))
    write_rows(config.out, rows, overwrite=config.overwrite)
    kind = "graded solutions" if "responses" in rows[0] else "a worked solution each"
    sys.stdout.write(
        f"{len(rows):,} problem{'' if len(rows) == 1 else 's'} with {kind}; they are in {config.out}\n"
    )


def load_gsm8k(source: str | Path, calculations: bool = True) -> Iterator[dict[str, object]]:
    """Stream the rows of a file of GSM8K, recognised by the columns of its first row.

    Args:
        source: A file, a folder or `hub:OWNER/NAME?...`, as `rewards.files.reading.read_rows` takes it.
        calculations: Whether the calculator's notes `<<48/2=24>>` stay in the solutions.

    Raises:
        MissingFileError: There is no such source.
        DataError: While iterating: it is neither kind of file, or a row is broken.
    """
    convert: Callable[[Row, bool], dict[str, object]] | None = None
    for row in read_rows(source):
        convert = convert or _recognized(row)
        yield convert(row, calculations)


def graded_solutions(row: Row, calculations: bool = True) -> dict[str, object]:
    """Return `{id, prompt, question, answer, ground_truth, models, responses, corrects, answers}` of a row.

    The four lists have one element a model, in the order of `MODELS`: its name, its solution, whether the
    data set calls that right, and the number that it ends in (null where there is none), for votes. `answer`
    is the reference's final answer and `ground_truth` its solution.

    Raises:
        DataError: A column is missing or not of its type.
    """
    question, truth = _text(row, "question"), _text(row, "ground_truth")
    answer = final_answer(truth, "numeric")
    if answer is None:
        raise row.expected("ground_truth", "a solution that ends in its answer, as 'A: 42'", truth[-60:])
    written = [_solution(row, model) for model in MODELS]
    responses = [text if calculations else _CALCULATION.sub("", text) for text, _ in written]
    return {
        "id": id_of(row),
        "prompt": question + "\n",
        "question": question,
        "answer": answer,
        "ground_truth": truth,
        "models": list(MODELS),
        "responses": responses,
        "corrects": [correct for _, correct in written],
        "answers": [final_answer(text, "numeric") for text, _ in written],
    }


def worked_problem(row: Row, calculations: bool = True) -> dict[str, object]:
    """Return `{id, prompt, question, answer, response, steps}` of a row `{question, answer}`.

    `answer` is the text after `####`; the response is the whole worked solution with that line, and its
    steps are its lines with the line breaks they carry.

    Raises:
        DataError: A column is missing or not of its type, or the solution does not end in `#### ANSWER`.
    """
    question, solution = _text(row, "question"), _text(row, "answer")
    match = _REFERENCE.search(solution)
    if match is None:
        raise row.expected("answer", "a solution whose last line is '#### ANSWER'", solution[-60:])
    text = solution if calculations else _CALCULATION.sub("", solution)
    return {
        "id": id_of(row),
        "prompt": question + "\n",
        "question": question,
        "answer": match[1],
        "response": text,
        "steps": list(split_steps(text, "\n")),
    }


def _recognized(row: Row) -> Callable[[Row, bool], dict[str, object]]:
    columns = set(row.values)
    if {"question", "ground_truth"} <= columns:
        return graded_solutions
    if {"question", "answer"} <= columns:
        return worked_problem
    raise DataError(
        f"{row.where}: no row of GSM8K: expected the columns question, answer or question, ground_truth, "
        f"{', '.join(MODELS)}; got {', '.join(row.values)}"
    )


def _text(row: Row, name: str) -> str:
    value = row.column(name)
    if not isinstance(value, str) or not value.strip():
        raise row.expected(name, "a text that is not empty", value)
    return value


def _solution(row: Row, model: str) -> tuple[str, bool]:
    value = row.column(model)
    if not isinstance(value, Mapping):
        raise row.expected(model, "an object of solution and is_correct", value)
    solution, correct = value.get("solution"), value.get("is_correct")
    if not isinstance(solution, str):
        raise row.expected(f"{model}.solution", "a text", solution)
    if not isinstance(correct, bool):
        raise row.expected(f"{model}.is_correct", "true or false", correct)
    return solution, correct


def command(arguments: list[str] | None = None) -> None:
    """Run the conversion from the command line; a user error prints one line and exits with 2."""
    from jsonargparse import auto_cli

    try:
        main(auto_cli(Convert, args=arguments, as_positional=False))
    except EvalkitError as error:
        sys.stderr.write(f"gsm8k: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    command()
