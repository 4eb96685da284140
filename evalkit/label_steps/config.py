"""Configuration of `evalkit label-steps`."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Limited, Renaming, Replacing
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.errors import ConfigError
from rewards.solutions.answers import Grader


@dataclass(frozen=True)
class LabelSteps(Renaming, Limited, Replacing):
    """Label steps automatically: how often completions from each step prefix end in the right answer."""

    policy: str
    """Model folder or Hub id that completes solutions."""
    data: str
    """Rows {prompt, answer} with {completions} or {steps}, or {response} or {responses} to be split."""
    out: str
    """File of rows {prompt, completions, labels, ...}, one a solution."""
    n: int = 16
    """Completions from each step at most."""
    label: Literal["hard", "soft"] = "hard"
    """Hard: 1 if any completion is right. Soft: the share of them that is."""
    stop_early: bool = True
    """Sample no more from a step once its label is decided: a right completion for hard, `width` for soft."""
    width: float = 0.1
    """Half-width of a soft label's interval at which it is decided; 0.1 takes 16 completions at the least."""
    batch: int = 4
    """Completions sampled from a step before it is looked at again."""
    level: float = 0.95
    """Level of the labels' intervals."""
    grader: Grader = "numeric"
    """How a completion's final answer is held against the reference."""
    answer: str = "answer"
    """Column of the reference answer: the answer alone, or a solution that marks it."""
    separator: str = "\n"
    """What ends a step: a response is split there, and steps that do not end in it are joined by it."""
    temperature: float = 1.0
    """Sampling temperature of the completions."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this much probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a completion; one that is cut there counts as not right."""
    stop: list[str] = field(default_factory=list)
    """Texts before which a completion is cut and ends, for models that go on after the answer."""
    seed: int = 0
    """Seed of the completions."""
    cache: str = ""
    """File that keeps every completion, to be shared by runs; empty is OUT.rollouts.sqlite."""
    chunk_rows: int = 32
    """Rows labelled and written at a time; their steps are sent to the policy together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, dict.fromkeys(("n", "batch", "chunk_rows"), "1 or more"))
        check_ranges(self, {"width": "above 0", "seed": "from 0 to 4294967295"})
        check_ranges(self, {"temperature": "above 0"})  # at 0 all completions of a step are one
        if not 0 < self.level < 1:
            raise ConfigError(f"level is between 0 and 1, got {self.level}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step; it is empty")
        refuse_own_input(self.out, self.data, self.policy)
        refuse_own_input(self.cache or self.out, self.data, self.policy)
        if self.cache == self.out:
            raise ConfigError(f"cache and out are two files, got {self.out} for both")
