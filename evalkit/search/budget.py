"""The compute budget of a search: counts per prompt, comparable between methods and batches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Budget:
    """Counts for one prompt, or sums of them; none depends on the other prompts of a batch."""

    policy_calls: int = 0
    """Policy calls that included this prompt."""
    prefixes: int = 0
    """Prefixes given to the policy: prompts, or prompts with the steps so far."""
    prefix_tokens: int = 0
    """Sampled tokens in these prefixes, without the prompt's own."""
    candidates: int = 0
    """Sampled whole solutions or next steps, duplicates included."""
    tokens_sampled: int = 0
    """Tokens of these candidates, also of a last step beyond its solution's limit."""
    scorer_calls: int = 0
    """Scorer calls that included this prompt."""
    solutions_scored: int = 0
    """Distinct solutions, finished or not, that were scored; none is scored twice."""
    steps_scored: int = 0
    """Distinct steps in these, with their prefixes: the steps that a prefix-sharing scorer reads."""
    empty_steps: int = 0
    """Steps that are only the separator."""
    empty_solutions: int = 0
    """Solutions in which the policy sampled EOS first."""

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
