"""Configuration of `evalkit label-steps`."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.policies.config import Sampling
from evalkit.runs.config import Intervals, Limited, Renaming, Replacing, Seeded
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.errors import ConfigError
from rewards.solutions.answers import Grader


@dataclass(frozen=True)
class LabelSteps(Sampling, Seeded, Renaming, Limited, Intervals, Replacing):
    """Label steps by Monte Carlo rollouts: the share of completions of each prefix that are correct."""

    policy: str
    """Model folder or Hub id that completes solutions."""
    data: str
    """Rows {prompt, answer} with {completions} or {steps}, or with {response} or {responses} to split."""
    out: str
    """File of rows {prompt, completions, labels, ...}, one a solution."""
    n: int = 16
    """Most completions from each step."""
    label: Literal["hard", "soft"] = "hard"
    """Hard: 1 if any completion is correct. Soft: the share of correct completions."""
    stop_early: bool = True
    """Stop sampling once a step's label is decided: a correct completion for hard, `width` for soft."""
    width: float = 0.1
    """Half-width of the interval at which a soft label is decided; 0.1 takes at least 16 completions."""
    batch: int = 4
    """Completions sampled between checks of a step."""
    grader: Grader = "numeric"
    """How a completion's final answer is compared with the reference; one cut by its length is wrong."""
    answer: str = "answer"
    """Column of the reference answer: the answer alone, or a solution that marks it."""
    separator: str = "\n"
    """Separator that ends a step: responses are split at it, and steps without it are joined by it."""
    stop: list[str] = field(default_factory=list)
    """Stop sequences of a completion, for models that go on after the answer."""
    cache: str = ""
    """Cache file of all completions, which runs may share; empty is OUT.rollouts.sqlite."""
    chunk_rows: int = 32
    """Rows labelled and written at a time; their steps are sent to the policy together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, dict.fromkeys(("n", "batch", "chunk_rows"), "1 or more"))
        check_ranges(self, {"width": "above 0"})
        check_ranges(self, {"temperature": "above 0"})  # at 0 all completions of a step are one
        if not self.separator:
            raise ConfigError("separator is a text that ends a step; it is empty")
        refuse_own_input(self.out, self.data, self.policy)
        refuse_own_input(self.cache or self.out, self.data, self.policy)
        if self.cache == self.out:
            raise ConfigError(f"cache and out are two files, got {self.out} for both")
