"""Data of the arithmetic testbed: problems, the author's solutions, and gold labels."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from evalkit.testbeds.arithmetic import MODULUS, OPERATIONS, SEPARATOR, ArithmeticWorld, Problem, answer
from evalkit.testbeds.arithmetic_gold import grade
from rewards.errors import ConfigError
from rewards.records import StepLabels


def draw_problems(world: ArithmeticWorld, count: int, rng: np.random.Generator) -> list[Problem]:
    """Sample problems: a length, then a digit and operations, uniformly; some may be equal."""
    lengths = np.array(world.lengths)[rng.integers(len(world.lengths), size=count)]
    starts = rng.integers(MODULUS, size=count)
    operations = rng.integers(len(OPERATIONS), size=(count, max(world.lengths)))
    return [
        Problem(start, tuple(OPERATIONS[place] for place in places[:length]))
        for start, places, length in zip(starts.tolist(), operations.tolist(), lengths.tolist(), strict=True)
    ]


def draw_prompts(
    world: ArithmeticWorld, count: int, rng: np.random.Generator, taken: Collection[str] = ()
) -> list[str]:
    """Sample distinct prompts, none of them in `taken`.

    The default world has 557,280: 12,960 of four operations, 77,760 of five, 466,560 of six. Short ones are
    as frequent as long ones until few are left.

    Args:
        world: The world.
        count: How many.
        rng: Random generator.
        taken: Prompts to exclude, such as those of an evaluation; a set, where there are many.

    Raises:
        ConfigError: The world has too few prompts that are not taken.
    """
    if count > world.problems - len(taken):
        raise ConfigError(
            f"the world has {world.problems} problems, of which {len(taken)} are taken; {count} were asked"
        )
    prompts: dict[str, None] = {}
    while len(prompts) < count:
        for problem in draw_problems(world, count - len(prompts), rng):
            prompt = world.prompt(problem)
            if prompt not in taken:
                prompts[prompt] = None
    return list(prompts)


def write_solution(world: ArithmeticWorld, problem: Problem, rng: np.random.Generator) -> str:
    """Sample a solution from the author's table: a line `a op c` per operation, then `A c`, no line break."""
    uniforms = rng.random(len(problem.operations)).tolist()
    value, lines = problem.start, []
    for operation, uniform in zip(problem.operations, uniforms, strict=True):
        result = world.cell(value, operation).draw(uniform)
        lines.append(f"{value} {operation} {result}")
        value = result
    return SEPARATOR.join([*lines, f"A {value}"])


def write_corpus(
    world: ArithmeticWorld, count: int, rng: np.random.Generator, taken: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Sample pairs of prompt and solution, a new problem for each; none of `taken`."""
    corpus: list[tuple[str, str]] = []
    while len(corpus) < count:
        for problem in draw_problems(world, count - len(corpus), rng):
            prompt = world.prompt(problem)
            if prompt not in taken:
                corpus.append((prompt, write_solution(world, problem, rng)))
    return corpus


def label_steps(world: ArithmeticWorld, samples: Iterable[tuple[str, Sequence[str]]]) -> Iterator[StepLabels]:
    """Label the steps of solutions by gold, up to and with the first error; those after it are None.

    The steps of an empty solution are none. `extra` holds `correct`, whether the answer is right.

    Args:
        world: The world whose gold labels.
        samples: Prompts, each with its solutions; every solution is one record, in the order given.

    Raises:
        DataError: A prompt is no problem of this world.
    """
    for number, (prompt, responses) in enumerate(samples):
        for place, response in enumerate(responses):
            graded = grade(world, prompt, response)
            yield StepLabels(
                prompt,
                graded.steps,
                graded.labels,
                id=f"{number}-{place}",
                extra={"correct": graded.answer_right},
            )


def graded_row(world: ArithmeticWorld, prompt: str, responses: Sequence[str]) -> dict[str, object]:
    """Return a row {prompt, responses, correct, answers, answer} of graded solutions.

    `correct` says of each solution whether its answer is right, `answers` what it is (None where the last
    line is no answer), and `answer` is the true one, as text.

    Raises:
        DataError: The prompt is no problem of this world.
    """
    grades = [grade(world, prompt, response) for response in responses]
    return {
        "prompt": prompt,
        "responses": list(responses),
        "correct": [graded.answer_right for graded in grades],
        "answers": [None if graded.answer is None else str(graded.answer) for graded in grades],
        "answer": str(answer(world.problem(prompt))),
    }
