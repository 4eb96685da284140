"""The pairs of an RSO run: turns scored samples into pairs.jsonl and the summary selection.json."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evalkit.pipeline.candidates import ENDING, Candidate, candidates_by_prompt, merge_copies, pair_row
from evalkit.pipeline.config import Select
from evalkit.pipeline.selection_summary import Acceptance
from evalkit.runs.files import write_json
from evalkit.training.policy_config import TrainRso
from rewards.errors import DataError
from rewards.files import write_rows
from rewards.selection.preference_pairs import PromptPairs, pair_candidates

PAIRS, SELECTION = "pairs.jsonl", "selection.json"


def write_pairs(config: TrainRso, scored: Path, folder: Path) -> dict[str, object]:
    """Pair the scored samples of each prompt, and return what is in `selection.json`, which is written last.

    A prompt's random choices come from the seed and the prompt's place alone.

    Args:
        config: The command's configuration.
        scored: Rows {prompt, responses, scores}.
        folder: Gets `pairs.jsonl` and `selection.json`.

    Raises:
        DataError: No prompt gives a pair, as when all rewards are equal; or a prompt has fewer than k
            different samples and that is an error.
    """
    selection = _Selection(config, scored)
    pairs = write_rows(folder / PAIRS, selection.rows(), overwrite=True)
    if not pairs:
        (folder / PAIRS).unlink()
        raise DataError(f"{scored}: no pair to train on: {selection.why_none()}")
    values = selection.as_dict(pairs)
    write_json(folder / SELECTION, values)
    return values


def read_selection(folder: Path) -> dict[str, object]:
    """Return the summary of an earlier start; empty where it is unfinished."""
    path = folder / SELECTION
    selection: dict[str, object] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return selection


class _Selection:
    """Pairs prompt by prompt, and counts."""

    def __init__(self, config: TrainRso, scored: Path) -> None:
        self._config = config
        self._scored = scored
        self.counts: Counter[str] = Counter()
        self.acceptance = Acceptance()
        self.rewards: dict[str, list[float]] = {"samples": [], "taken": [], "chosen": [], "rejected": []}
        self._level: float | None = None
        """Reward of the first prompt whose rewards are all equal."""

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of pairs, in the order of the prompts."""
        config = self._config
        select = Select(data=str(self._scored), out=PAIRS, k=config.k)
        for place, candidates in enumerate(candidates_by_prompt(select)):
            different = self._different(candidates)
            if not different:
                continue
            rewards = [candidate.score for candidate in different]
            beta = config.beta if config.source == "rso-sample-rank" else None
            rng = np.random.default_rng([config.seed, place])
            made = pair_candidates(rewards, config.k, rng, beta, config.pairs, config.labels)
            self._count(made, rewards)
            for better, worse in zip(made.chosen, made.rejected, strict=True):
                yield self._row(different[better], different[worse])

    def _different(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return distinct candidates; none where there are too few and the prompt is left out."""
        config, counts = self._config, self.counts
        different, copies, conflicts = merge_copies(candidates)
        self.rewards["samples"] += [candidate.score for candidate in candidates]
        counts["prompts"] += 1
        counts["samples"] += len(candidates)
        counts["duplicates_removed"] += copies
        counts["duplicates_with_another_reward"] += conflicts
        if len(different) >= config.k:
            return different
        if config.too_few == "error":
            raise candidates[0].refusal(
                f"has {len(different)} different samples among {len(candidates)}, fewer than "
                f"k = {config.k}; --too_few keep pairs what there is, --too_few drop leaves the prompt out"
            )
        counts["prompts_below_k"] += 1
        return different if config.too_few == "keep" else []

    def _count(self, made: PromptPairs, rewards: list[float]) -> None:
        counts = self.counts
        counts["taken"] += len(made.taken)
        counts["ties"] += made.ties
        counts["against_reward"] += made.against_reward
        counts["prompts_without_pair"] += len(made.chosen) == 0
        if len(rewards) == 1:
            counts["prompts_of_one_text"] += 1
        elif min(rewards) == max(rewards):
            counts["prompts_of_equal_reward"] += 1
            self._level = rewards[0] if self._level is None else self._level
        self.rewards["taken"] += [rewards[index] for index in made.taken]
        if made.sample is not None:
            self.acceptance.add(made.sample)

    def _row(self, better: Candidate, worse: Candidate) -> dict[str, object]:
        self.rewards["chosen"].append(better.score)
        self.rewards["rejected"].append(worse.score)
        self.counts["chosen_cut_by_length"] += better.generation.extra.get(ENDING) == "length"
        self.counts["rejected_cut_by_length"] += worse.generation.extra.get(ENDING) == "length"
        own = {"chosen_reward": better.score, "rejected_reward": worse.score}
        return {**pair_row(better, worse), **own}

    def as_dict(self, pairs: int) -> dict[str, object]:
        """Return settings and counts as plain values; rewards are means, None where there is none."""
        config, accepted = self._config, self.acceptance
        sampled = config.source == "rso-sample-rank"
        settings = {name: getattr(config, name) for name in ("source", "k", "pairs", "labels", "too_few")}
        means = {name: float(np.mean(values)) if values else None for name, values in self.rewards.items()}
        names = (
            *("prompts", "samples", "duplicates_removed", "duplicates_with_another_reward"),
            *("prompts_below_k", "prompts_of_one_text", "prompts_of_equal_reward", "prompts_without_pair"),
            *("taken", "ties", "against_reward", "chosen_cut_by_length", "rejected_cut_by_length"),
        )
        summary: dict[str, object] = {**settings, **{name: self.counts[name] for name in names}}
        summary["reward"] = means
        summary["rejection"] = None
        if sampled:
            summary["rejection"] = {
                "beta": config.beta,
                "acceptance": accepted.acceptance / accepted.prompts,
                "expected_acceptance": accepted.expected / accepted.prompts,
                "effective_sample_size": accepted.effective / accepted.prompts,
                "lowest_effective_sample_size": accepted.lowest_effective,
                "prompts_with_effective_sample_size_below_k": accepted.below_k,
                "passes": accepted.passes / accepted.prompts,
                "tried": accepted.tried,
            }
        return {**summary, "pairs_made": pairs}

    def why_none(self) -> str:
        """Say why no prompt gave a pair."""
        counts, k = self.counts, self._config.k
        if self._config.too_few == "drop" and counts["prompts_below_k"] == counts["prompts"]:
            return (
                f"each of {counts['prompts']} prompts has fewer than k = {k} different samples; "
                "a higher --drawing.temperature or n, a smaller k, or --too_few keep"
            )
        reasons = []
        if counts["prompts_of_equal_reward"]:
            reasons.append(
                f"at {counts['prompts_of_equal_reward']} of {counts['prompts']} prompts all rewards are "
                f"equal (the first: {self._level:g}), so the scorer tells no two samples apart"
            )
        if counts["prompts_of_one_text"]:
            reasons.append(
                f"{counts['prompts_of_one_text']} prompts have but one different sample "
                "(a higher --drawing.temperature draws more)"
            )
        unequal = counts["ties"] and not counts["prompts_of_equal_reward"]
        if unequal:
            reasons.append(f"{counts['ties']} matches are between equal rewards")
        return "; ".join(reasons)


def selection_lines(made: dict[str, object]) -> Iterator[str]:
    """Yield printed lines on a selection."""
    yield (
        f"{made['samples']} samples of {made['prompts']} prompts; {made['duplicates_removed']} duplicates "
        f"removed; {made['prompts_below_k']} prompts with fewer than k = {made['k']} different"
    )
    rejection, reward = made["rejection"], made["reward"]
    if isinstance(rejection, dict):
        yield (
            f"acceptance {rejection['acceptance']:.4f}, expected {rejection['expected_acceptance']:.4f}; "
            f"effective sample size {rejection['effective_sample_size']:.1f} on average, below k for "
            f"{rejection['prompts_with_effective_sample_size_below_k']} prompts"
        )
    yield (
        f"{made['pairs_made']} pairs of {made['taken']} samples ({made['pairs']}, "
        f"{made['labels']}); {made['ties']} matches of equal reward made none; "
        f"{made['against_reward']} against the reward; "
        f"{made['prompts_without_pair']} prompts without a pair"
    )
    if isinstance(reward, dict):
        yield "mean reward: " + ", ".join(f"{name} {value:.4g}" for name, value in reward.items())
    cut = (made["chosen_cut_by_length"], made["rejected_cut_by_length"])
    if any(cut):
        yield f"cut by length: {cut[0]} chosen, {cut[1]} rejected; no end is taught at their cuts"
