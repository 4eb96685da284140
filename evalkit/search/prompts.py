"""Prompts to search, checked before anything is sampled, and the state of each search."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from evalkit.search.budget import Budget
from evalkit.search.trees import PartialSolution, Shape, Tree
from rewards.files import Row
from rewards.records import Generation, Prompt, Score
from rewards.solutions.steps import split_steps


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A row with its prompt to search."""

    row: Row
    prompt: Prompt
    repetition: int = 0
    """How many earlier rows have the same prompt, so that their searches differ."""


@dataclass(slots=True, eq=False)  # two searches are the same only if they are one
class PromptSearch:
    """A prompt's trees, the scores of all texts in them, and the budget spent."""

    problem: SearchRow
    trees: list[Tree]
    scores: dict[str, Score] = field(default_factory=dict)
    """By text: equal candidates are scored once."""
    budget: Budget = field(default_factory=Budget)
    _beginnings: set[str] = field(default_factory=set)

    def to_score(self, texts: Sequence[str], separator: str, empty: bool = True) -> list[Generation]:
        """Return the distinct texts without a score, split into steps, and count them.

        Args:
            texts: Sampled texts.
            separator: Separator that ends a step.
            empty: Whether the scorer grades an empty text.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self.scores and (text or empty)]
        generations = [self.generation(text, separator) for text in new]
        for generation in generations:
            end = 0
            for step in generation.steps:
                end += len(step)
                self._beginnings.add(generation.response[:end])
        self.budget.scorer_calls += bool(generations)
        self.budget.solutions_scored += len(generations)
        self.budget.steps_scored = len(self._beginnings)
        return generations

    def generation(self, text: str, separator: str) -> Generation:
        """Return a text as a `Generation` for the scorer."""
        row = self.problem.row
        extra = {name: value for name, value in row.values.items() if name not in ("prompt", "id")}
        return Generation(self.problem.prompt, text, split_steps(text, separator), row.id(), extra)

    def ended(self) -> list[PartialSolution]:
        """Return every finished or truncated solution: tree by tree, in the order sampled."""
        return [solution for tree in self.trees for solution in tree.ended]


def begin(problem: SearchRow, shape: Shape, most_steps: int) -> PromptSearch:
    """Return the search of a prompt before its first step.

    A tree has its own range of occurrences, as wide as its number of places: no more equal texts can be
    continued at once in one tree. So neither other trees nor other prompts change its samples.
    """
    first = problem.repetition * shape.trees
    return PromptSearch(
        problem,
        [Tree(shape, most_steps, (first + number) * shape.places) for number in range(shape.trees)],
    )
