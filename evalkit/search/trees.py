"""Search trees: partial solutions that grow step by step, of which the best are kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rewards.errors import ConfigError
from rewards.records import Score
from rewards.selection.best_of_n import best_of_n

FINISHED, OVER_LENGTH, OVER_STEPS = "eos", "length", "max_steps"
"""How a solution ends: the policy ended it, its room for tokens did, or its number of steps."""


@dataclass(frozen=True, slots=True)
class PartialSolution:
    """A partial solution."""

    text: str = ""
    tokens: int = 0
    """Tokens sampled for it."""
    ending: str = ""
    """`eos`, `length` or `max_steps`; empty while it can be continued."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that define a method; all methods are one search of different shapes."""

    trees: int
    """Independent trees for each prompt."""
    places: int
    """Solutions kept in a tree after each step (beam size)."""
    first: int
    """Candidates from the prompt alone."""
    width: int
    """Candidates from each kept solution that is not finished."""
    whole: bool
    """Whether a candidate is a whole solution rather than a step."""


class Extension(NamedTuple):
    """A solution to continue, numbered among equal ones, so that these continue differently."""

    parent: PartialSolution
    occurrence: int


def shape_of(method: str, n: int, width: int) -> Shape:
    """Return the shape of a method.

    - `best-of-n`, `weighted-majority`: n whole solutions.
    - `beam` (Snell et al., 2408.03314, section 5.1): n first steps; of n candidates the best n / width are
      kept, and each is continued by `width` next steps.
    - `dvts` (diverse verifier tree search, Beeching et al. 2024): n / width trees, each a beam that samples
      `width` candidates and keeps the best one.

    Raises:
        ConfigError: There is no such method, or n is no multiple of `width` where it has to be.
    """
    if method in ("best-of-n", "weighted-majority"):
        return Shape(trees=1, places=1, first=n, width=1, whole=True)
    if n % width:
        raise ConfigError(f"n is a multiple of width for {method}, got {n} and {width}")
    if method == "beam":
        return Shape(trees=1, places=n // width, first=n, width=width, whole=False)
    if method == "dvts":
        return Shape(trees=n // width, places=1, first=width, width=width, whole=False)
    raise ConfigError(f"method is best-of-n, weighted-majority, beam or dvts, got {method!r}")


class Tree:
    """One search from a prompt.

    After each step the best `places` of all solutions that are finished or can be continued hold the places;
    of equal scores the one written first. Those that are not finished are continued. A finished solution
    competes for a place as long as the search goes on, with the score it has. One that was cut (too long)
    can no longer become an answer and takes no place. An empty one may have no score, and ranks behind all
    others. The search ends when no kept solution can be continued, or after `most_steps` steps, whose
    unfinished solutions are cut. Every solution that was finished or cut stays in `ended`, whether it held a
    place or not.

    Args:
        shape: The method's shape.
        most_steps: Most steps in a solution.
        base: Occurrence number of the first prefix.
    """

    def __init__(self, shape: Shape, most_steps: int, base: int) -> None:
        self.ended: list[PartialSolution] = []
        """Finished and cut solutions, in the order written."""
        self._shape = shape
        self._steps_left = most_steps
        self._base = base
        self._asked: Counter[str] = Counter()
        self.extensions = self._continue([PartialSolution()])
        """What is to be continued now; nothing once the search has ended."""

    def grow(self, written: Sequence[PartialSolution], scores: Mapping[str, Score]) -> None:
        """Add the candidates of a step, and choose which to keep.

        Args:
            written: Candidates in the order of the extensions that they continue.
            scores: Score of each text that has one; those of finished solutions of earlier steps included.
        """
        self._steps_left -= 1
        finished = [solution for solution in self.ended if solution.ending == FINISHED]
        if not self._steps_left:
            written = [
                solution if solution.ending else replace(solution, ending=OVER_STEPS) for solution in written
            ]
        self.ended += [solution for solution in written if solution.ending]
        pool = finished + [solution for solution in written if solution.ending in ("", FINISHED)]
        # Without a score is only what is empty and finished: behind all others, with nothing to continue.
        pool = [solution for solution in pool if solution.text in scores]
        places = min(self._shape.places, len(pool))
        kept = best_of_n([scores[solution.text].value for solution in pool], places) if pool else ()
        self.extensions = self._continue([pool[index] for index in kept if not pool[index].ending])

    def _continue(self, parents: Sequence[PartialSolution]) -> list[Extension]:
        extensions = []
        for parent in parents:
            extensions.append(Extension(parent, self._base + self._asked[parent.text]))
            self._asked[parent.text] += 1
        return extensions
