"""A round of best-of-n distillation: keeps the best scored samples, with the round's statistics."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evalkit.pipeline.candidates import ENDING, Candidate, candidates_by_prompt, merge_copies
from evalkit.pipeline.config import Select
from evalkit.runs.files import write_json
from evalkit.training.policy_config import TrainBestOfN
from rewards.errors import DataError
from rewards.files import to_row, write_rows
from rewards.records import prompt_key
from rewards.selection.best_of_n import best_of_n, count_ties_at_cut

KEPT, ROUND = "kept.jsonl", "round.json"


@dataclass(frozen=True)
class SampleStatistics:
    """Statistics of one policy's samples."""

    policy: str
    """The policy that was sampled."""
    prompts: int
    samples: int
    """Samples in all."""
    reward: float
    """Mean over the prompts of the mean reward of their samples, in the scorer's units."""
    reward_error: float | None
    """Standard error of that over prompts; None of one prompt."""
    finished: float
    """Share of the samples that the model or a stop text ended, and not their length; in [0, 1]."""
    tokens: float
    """Mean tokens in a sample."""
    distinct: float
    """Share of the samples that are no copy of an earlier one to the same prompt, in (0, 1]."""


@dataclass(frozen=True)
class Round:
    """Statistics of one round: sampled and kept responses."""

    number: int
    """From 1."""
    drawn: SampleStatistics
    kept: int
    """Samples kept of all prompts, the data of the fine-tuning."""
    kept_reward: float
    """Mean over the prompts of the mean reward of their kept samples."""
    kept_reward_error: float | None
    """Standard error of that over prompts; None of one prompt."""
    kept_of_earlier: int
    """Kept samples of earlier rounds."""
    kept_unfinished: int
    """Kept truncated samples, which are trained on without EOS."""
    prompts_below_k: int
    """Prompts with fewer distinct samples than k, all of which are kept."""
    prompts_tied: int
    """Prompts where the seed broke a tie of equal rewards at the last kept place."""


def keep_best(config: TrainBestOfN, scored: Sequence[Path], folder: Path, policy: str) -> Round:
    """Keep the k best different samples of each prompt, and return the round, written last.

    Args:
        config: The command's configuration.
        scored: Scored samples of the rounds so far, the last of this round.
        folder: Gets `kept.jsonl`, a row {prompt, responses} for each prompt, and `round.json`.
        policy: The policy that this round sampled.

    Raises:
        DataError: In the first round the rewards of every prompt are equal, so that nothing is better.
    """
    number = _number(scored[-1])
    rounds = [_by_prompt(path) for path in (scored if config.keep == "all" else scored[-1:])]
    keeping = _Keeping(config, number)
    write_rows(folder / KEPT, keeping.rows(rounds), overwrite=True)
    if number == 1 and keeping.undecided and not keeping.decided:
        (folder / KEPT).unlink()
        raise DataError(
            f"{scored[-1]}: all rewards are equal at each of the {keeping.undecided} prompts with more than "
            f"k = {config.k} different samples (the first: {keeping.level:g}), so that none is best; a "
            "scorer that tells samples apart is needed"
        )
    mean, error = mean_and_error(keeping.means)
    made = Round(
        number,
        sample_statistics(scored[-1], policy),
        kept=keeping.kept,
        kept_reward=mean,
        kept_reward_error=error,
        kept_of_earlier=keeping.of_earlier,
        kept_unfinished=keeping.unfinished,
        prompts_below_k=keeping.below_k,
        prompts_tied=keeping.tied,
    )
    write_json(folder / ROUND, asdict(made))
    return made


def read_round(folder: Path) -> Round | None:
    """Return a finished round from an earlier start; None where it is unfinished."""
    path = folder / ROUND
    if not path.exists():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Round(**{**values, "drawn": SampleStatistics(**values["drawn"])})


def sample_statistics(scored: Path, policy: str) -> SampleStatistics:
    """Return the statistics of a file of scored samples."""
    means: list[float] = []
    samples = finished = tokens = distinct = 0
    for candidates in _by_prompt(scored).values():
        means.append(float(np.mean([candidate.score for candidate in candidates])))
        samples += len(candidates)
        distinct += len({candidate.generation.response for candidate in candidates})
        for candidate in candidates:
            finished += candidate.generation.extra[ENDING] != "length"
            tokens += int(str(candidate.generation.extra["token_count"]))
    mean, error = mean_and_error(means)
    return SampleStatistics(
        policy, len(means), samples, mean, error, finished / samples, tokens / samples, distinct / samples
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of values and its standard error (ddof 1), None of one value."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(np.mean(values)), error


def _number(scored: Path) -> int:
    return int(scored.parent.name.removeprefix("round-"))


def _by_prompt(scored: Path) -> dict[str, list[Candidate]]:
    groups = candidates_by_prompt(Select(data=str(scored), out=KEPT))
    return {prompt_key(candidates[0].generation.prompt): candidates for candidates in groups}


class _Keeping:
    """Keeps the best prompt by prompt, and counts."""

    def __init__(self, config: TrainBestOfN, number: int) -> None:
        self._config = config
        self._round = number
        self.means: list[float] = []
        self.kept = self.of_earlier = self.unfinished = self.below_k = self.tied = 0
        self.decided = self.undecided = 0
        """Prompts with a choice, by whether their rewards differ."""
        self.level = 0.0
        """The reward of the first prompt whose are all equal."""

    def rows(self, rounds: Sequence[dict[str, list[Candidate]]]) -> Iterator[dict[str, object]]:
        """Yield a row for each prompt, in their order, of the responses that are kept, best first."""
        for place, prompt in enumerate(rounds[-1]):
            drawn = [candidate for own in rounds for candidate in own[prompt]]
            rng = np.random.default_rng([self._config.seed, self._round, place])
            kept = self._best(drawn, rng)
            earlier = {id(candidate) for own in rounds[:-1] for candidate in own[prompt]}
            self.of_earlier += sum(id(candidate) in earlier for candidate in kept)
            self.unfinished += sum(candidate.generation.extra[ENDING] == "length" for candidate in kept)
            self.kept += len(kept)
            self.means.append(float(np.mean([candidate.score for candidate in kept])))
            yield _row(kept)

    def _best(self, drawn: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
        different = merge_copies(drawn).candidates
        rewards = [candidate.score for candidate in different]
        k = min(self._config.k, len(different))
        self.below_k += k < self._config.k
        self.tied += count_ties_at_cut(rewards, k) > 0
        if len(different) > k:
            equal = min(rewards) == max(rewards)
            self.level = rewards[0] if equal and not self.undecided else self.level
            self.undecided += equal
            self.decided += not equal
        return [different[index] for index in best_of_n(rewards, k, rng)]


def _row(kept: Sequence[Candidate]) -> dict[str, object]:
    """Return what is kept of a prompt; without the columns beside it, which no fine-tuning reads."""
    return {
        "prompt": to_row(kept[0].generation)["prompt"],
        "responses": [candidate.generation.response for candidate in kept],
        f"{ENDING}s": [candidate.generation.extra[ENDING] for candidate in kept],
        "scores": [candidate.score for candidate in kept],
    }
