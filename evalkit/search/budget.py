"""What a search spends on one prompt, counted alike for every method and whatever else is searched."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Budget:
    """Counts for one prompt, or sums of them; none depends on what other prompts share its calls."""

    policy_calls: int = 0
    """Calls of the policy in which this prompt had a part."""
    prefixes: int = 0
    """Prompts, or prompts with the steps so far, that were read to be continued."""
    prefix_tokens: int = 0
    """Tokens of the steps so far in these, as sampled; the prompt's own are not known to the search."""
    candidates: int = 0
    """Whole solutions or next steps that were sampled, copies included."""
    tokens_sampled: int = 0
    """Tokens of these candidates, also of a last step that its solution has no room for."""
    scorer_calls: int = 0
    """Calls of the scorer in which this prompt had a part."""
    solutions_scored: int = 0
    """Different solutions, finished or not, that were scored; none is scored twice."""
    steps_scored: int = 0
    """Different steps in these, told apart by all that stands before: what a scorer that shares it reads."""
    empty_steps: int = 0
    """Steps that hold nothing but the separator."""
    empty_solutions: int = 0
    """Solutions that the policy ended before it wrote anything."""

    def add(self, other: Mapping[str, object]) -> None:
        """Add the counts of a written row.

        Raises:
            TypeError: A count is missing or no whole number.
        """
        for name in (field.name for field in fields(self)):
            count = other.get(name)
            if not isinstance(count, int):
                raise TypeError(f"a budget's {name} is a whole number, got {count!r}")
            setattr(self, name, getattr(self, name) + count)

    def as_dict(self) -> dict[str, object]:
        """Return the counts by name."""
        return asdict(self)
