"""Configuration of `evalkit search`."""

from dataclasses import dataclass
from typing import Literal

from evalkit.policies.config import Sampling
from evalkit.runs.config import Limited, Renaming, Replacing, Seeded
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.errors import ConfigError
from rewards.solutions.answers import Grader


@dataclass(frozen=True)
class Search(Sampling, Seeded, Renaming, Limited, Replacing):
    """Search for solutions with a policy, guided by a process scorer, with one budget for all methods."""

    policy: str
    """Policy that samples the steps: model folder or Hub id."""
    scorer: str
    """Process reward model, or any scorer that grades unfinished solutions."""
    data: str
    """File, folder or Hub name with a prompt column."""
    out: str
    """File of rows {prompt, best_response, voted_response, responses, scores, answers, ..., budget}."""
    method: Literal["best-of-n", "weighted-majority", "beam", "dvts"] = "beam"
    """Sample n whole solutions, or search by steps: a beam of n / width, or n / width beams of one (dvts)."""
    n: int = 16
    """Candidates per prompt: whole solutions, or next steps for beam and dvts."""
    width: int = 4
    """Next steps sampled from each kept solution, in beam and dvts; n is a multiple of it."""
    max_steps: int = 40
    """Most steps in a solution, in beam and dvts; an unfinished one is truncated there."""
    separator: str = "\n"
    """Separator that ends a step; whole solutions are split at it too, for the scorer."""
    grader: Grader = "numeric"
    """How answers are compared in a vote, and with the column `answer` where there is one."""
    max_step_tokens: int = 128
    """Most tokens in a step, in beam and dvts; a longer step truncates its solution."""
    chunk_prompts: int = 16
    """Prompts searched and written at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("n", "width", "max_steps", "max_new_tokens", "max_step_tokens", "chunk_prompts")
        check_ranges(self, dict.fromkeys(names, "1 or more"))
        if self.method in ("beam", "dvts") and self.n % self.width:
            raise ConfigError(f"n is a multiple of width for {self.method}, got {self.n} and {self.width}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step; it is empty")
        refuse_own_input(self.out, self.data, self.policy, self.scorer)
