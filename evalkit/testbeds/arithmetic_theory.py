"""Exact accuracies of the author of arithmetic, computed from its table, without a model or samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.testbeds.arithmetic import MODULUS, OPERATIONS, ArithmeticWorld, Problem, answer, apply


@dataclass(frozen=True, slots=True)
class Achieved:
    """Accuracies of solutions over problems: predicted from the table, or measured on samples."""

    pass_at_1: float
    """Share of solutions with the right answer."""
    steps_right: float
    """Share of the operations' lines that are right by themselves: the carried value, operation, result."""
    all_right: float
    """Share of solutions with the right answer and no wrong line."""
    false_positives: float
    """Share of the right answers reached through a wrong line; NaN where no answer is right."""
    majority: float
    """Share of problems whose most frequent answer is right: the limit of majority voting; ties are split."""


def propagate(world: ArithmeticWorld, problem: Problem) -> NDArray[np.float64]:
    """Return the distribution of the author's last value and of whether any line was wrong.

    Returns:
        P[wrong, value], [2, 10]: row 0 without a wrong line, row 1 with one; all sums to 1.
    """
    return _walk(world, problem)[0]


def answer_distribution(world: ArithmeticWorld, problem: Problem) -> NDArray[np.float64]:
    """Return the probabilities of the author's answers, [10]."""
    return np.asarray(propagate(world, problem).sum(axis=0))


def foretell(world: ArithmeticWorld, problems: Sequence[Problem]) -> Achieved:
    """Return the author's accuracies, means over problems.

    Raises:
        ValueError: There are no problems.
    """
    if not problems:
        raise ValueError("nothing is foretold of no problems")
    all_right, right, lines, votes = [], [], [], []
    for problem in problems:
        truth = answer(problem)
        distribution, line_shares = _walk(world, problem)
        all_right.append(distribution[0, truth])
        right.append(distribution[:, truth].sum())
        lines.append(np.mean(line_shares))
        votes.append(vote_share(distribution.sum(axis=0), truth))
    return Achieved(
        pass_at_1=float(np.mean(right)),
        steps_right=float(np.mean(lines)),
        all_right=float(np.mean(all_right)),
        false_positives=1 - float(np.sum(all_right) / np.sum(right)) if np.sum(right) else float("nan"),
        majority=float(np.mean(votes)),
    )


def pass_at_n(world: ArithmeticWorld, problems: Sequence[Problem], n: Sequence[int]) -> NDArray[np.float64]:
    """Return pass@n, the probability of a right answer among n solutions, [len(n)], mean over problems."""
    right = np.array([answer_distribution(world, problem)[answer(problem)] for problem in problems])
    return np.array([float(np.mean(1 - (1 - right) ** size)) for size in n])


def vote_share(distribution: NDArray[np.float64], truth: int) -> float:
    """Return 1 if the truth is the most frequent answer, 1 / k if it shares that place with k - 1 others."""
    # Propagation along different paths leaves equal probabilities a rounding apart.
    winners = np.isclose(distribution, distribution.max(), rtol=1e-12, atol=0)
    return float(winners[truth] / winners.sum())


def _walk(world: ArithmeticWorld, problem: Problem) -> tuple[NDArray[np.float64], list[float]]:
    """Return P[wrong, value] at the end, and each operation's probability of a line right by itself."""
    table = world.table
    state = np.zeros((2, MODULUS))
    state[0, problem.start] = 1.0
    shares = []
    for operation in problem.operations:
        moves = table[:, OPERATIONS.index(operation)]
        right = np.zeros_like(moves)
        for value in range(MODULUS):
            right[value, apply(value, operation)] = moves[value, apply(value, operation)]
        shares.append(float(state.sum(axis=0) @ right.sum(axis=1)))
        state = np.stack([state[0] @ right, state[0] @ (moves - right) + state[1] @ moves])
    return state, shares
