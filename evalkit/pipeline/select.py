"""`evalkit select`: best of n, rejection sampling or a vote, over the scored responses of each prompt."""

import math
from collections.abc import Iterator

import numpy as np

from evalkit.pipeline.candidates import Candidate, candidates_by_prompt, merge_copies, pair_row
from evalkit.pipeline.config import Select
from evalkit.pipeline.selection_summary import SelectionSummary
from evalkit.runs.terminal import progress, say
from rewards.errors import DataError
from rewards.files import to_row, write_rows
from rewards.selection.best_of_n import best_of_n, count_ties_at_cut, majority_vote, weighted_vote
from rewards.selection.preference_pairs import MATCHINGS
from rewards.selection.rejection import acceptance_probabilities, rejection_sample

OutputRow = dict[str, object]


def run(config: Select) -> None:
    """Select among the scored responses of each prompt, and write the selected rows, or pairs of them.

    A prompt's random choices come from the seed and the prompt's place by first appearance alone, so they
    do not depend on the window or on other prompts' responses.

    Raises:
        DataError: A row without a finite score or its answer, a prompt with fewer samples than n, or with
            fewer different responses than k where that is an error; or nothing was selected.
        OutputExistsError: The output exists and `overwrite` is not set.
    """
    summary = SelectionSummary(config)
    summary.written = write_rows(config.out, _output(config, summary), overwrite=config.overwrite)
    say(f"{summary.text()}\nwritten to {config.out}")


def _output(config: Select, summary: SelectionSummary) -> Iterator[OutputRow]:
    empty = True
    with progress("selecting", unit="prompts") as shown:
        for place, candidates in enumerate(candidates_by_prompt(config)):
            rng = np.random.default_rng([config.seed, place])
            for row in _select_for_prompt(_first_n(candidates, config.n), config, summary, rng):
                empty = False
                yield row
            shown.advance()
    if empty:
        raise DataError(f"{config.data}: nothing to write: {summary.losses()}")


def _first_n(candidates: list[Candidate], n: int) -> list[Candidate]:
    if n > len(candidates):
        raise candidates[0].refusal(f"has {len(candidates)} responses, fewer than n = {n}")
    return candidates[: n or None]


def _select_for_prompt(
    candidates: list[Candidate], config: Select, summary: SelectionSummary, rng: np.random.Generator
) -> list[OutputRow]:
    summary.prompts += 1
    summary.candidates += len(candidates)
    if config.method.endswith("vote"):
        return _vote(candidates, config, summary)
    chosen = _choose(candidates, config, summary, rng)
    summary.chosen += len(chosen)
    if config.pairs != "none":
        return _pair(chosen, config, summary, rng)
    return [
        {**to_row(candidate.generation), "selected_rank": rank} for rank, candidate in enumerate(chosen, 1)
    ]


def _choose(
    candidates: list[Candidate], config: Select, summary: SelectionSummary, rng: np.random.Generator
) -> list[Candidate]:
    """Return k distinct candidates: best first, or in the order of acceptance."""
    different, copies, conflicts = merge_copies(candidates)
    summary.copies += copies
    summary.conflicts += conflicts
    k = min(config.k, len(different))
    if k < config.k:
        if config.too_few == "error":
            raise candidates[0].refusal(
                f"has {k} different responses among {len(candidates)}, fewer than k = {config.k}; "
                "--too_few keep takes what there is, --too_few drop leaves the prompt out"
            )
        summary.too_few += 1
        if config.too_few == "drop":
            return []
    rewards = [candidate.score for candidate in different]
    if config.method == "best-of-n":
        summary.add_ties(count_ties_at_cut(rewards, k))
        return [different[index] for index in best_of_n(rewards, k, rng)]
    # Rows may be sorted by something, and Algorithm 1's early stop favours what comes first.
    sample = rejection_sample(rewards, k, config.beta, rng, shuffle=True)
    summary.acceptance.add(sample)
    return [different[index] for index in sample.indices]


def _pair(
    chosen: list[Candidate], config: Select, summary: SelectionSummary, rng: np.random.Generator
) -> list[OutputRow]:
    rewards = [candidate.score for candidate in chosen]
    pairing = MATCHINGS[config.pairs](rewards, rng)
    summary.add_pairs(pairing)
    return [
        pair_row(chosen[better], chosen[worse])
        for better, worse in zip(pairing.chosen, pairing.rejected, strict=True)
    ]


def _vote(candidates: list[Candidate], config: Select, summary: SelectionSummary) -> list[OutputRow]:
    """Return the highest-weighted response with the winning answer, the first of equals."""
    answers = [candidate.answer for candidate in candidates]
    votes = [answer is not None and answer != "" for answer in answers]
    summary.votes += sum(votes)
    if config.method == "majority-vote":
        weights, winner = [1.0] * len(answers), majority_vote(answers)
    else:
        weights = _vote_weights(candidates, config)
        winner = weighted_vote(answers, weights)
    if winner is None:
        summary.voteless += 1
        return []
    summary.chosen += 1
    supporters = [index for index, answer in enumerate(answers) if answer == winner]
    best = max(supporters, key=lambda index: weights[index])
    total = math.fsum(weight for weight, voted in zip(weights, votes, strict=True) if voted)
    share = math.fsum(weights[index] for index in supporters) / total if total > 0 else None
    own = {"selected_votes": len(supporters), "selected_share": share}
    return [{**to_row(candidates[best].generation), **own}]


def _vote_weights(candidates: list[Candidate], config: Select) -> list[float]:
    scores = [candidate.score for candidate in candidates]
    if config.vote_weight == "sigmoid":
        # The half-angle form of 1 / (1 + exp(-s)) cannot overflow.
        return [0.5 * (1 + math.tanh(score / 2)) for score in scores]
    if config.vote_weight == "tilted":
        return [float(weight) for weight in acceptance_probabilities(scores, config.beta)]
    for candidate in candidates:
        if candidate.score < 0:
            raise candidate.refusal(
                f"has the score {candidate.score}, and a negative weight would count against an answer that "
                "many give; --vote_weight sigmoid or tilted makes weights of such scores"
            )
    return scores
