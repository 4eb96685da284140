"""What statistical rejection sampling accepts from few texts, exactly where it can be told."""

import numpy as np

from evalkit.experiments.exact_tilt.world import Floats
from rewards.selection.rejection import acceptance_probabilities, rejection_sample


def accepted_of(policy: Floats, rewards: Floats, beta: float, n: int) -> Floats:
    """Return the distribution of the first accepted of n samples, copies kept, exactly, [outcomes].

    The threshold is the highest reward among the n samples, so that this is the tilted policy only where that
    is the highest of all. With F the probability of rewards up to r, and acceptance by threshold r, a pass
    accepts within n samples as plain rejection sampling does; samples without r itself, whose threshold is
    lower, are taken off.

    Args:
        policy: [outcomes].
        rewards: [outcomes].
        beta: Temperature in units of reward.
        n: Samples.
    """
    result = np.zeros_like(policy)
    for level in np.unique(rewards):
        weights = np.exp(np.minimum(0, rewards - level) / beta)
        for there, sign in ((rewards <= level, 1.0), (rewards < level, -1.0)):
            accepted = np.where(there, policy * weights, 0.0)
            refused = float(np.where(there, policy * (1 - weights), 0.0).sum())
            total = float(np.where(there, policy, 0.0).sum())
            if total > 0:
                result += sign * accepted * (total**n - refused**n) / (total - refused)
    return result


def accepted_of_different(policy: Floats, rewards: Floats, beta: float) -> Floats:
    """Return the distribution of the first accepted of different texts, exactly, where n is without end.

    Once copies are merged, a text counts once however often it was drawn: the policy only says which comes
    first. Sums over all sets of texts that may have been refused before.

    Args:
        policy: [outcomes].
        rewards: [outcomes].
        beta: Temperature in units of reward.
    """
    weights = acceptance_probabilities(rewards, beta)
    result = np.zeros_like(policy)
    refused = {0: 1.0}
    for _ in range(len(policy)):
        after: dict[int, float] = {}
        for seen, chance in refused.items():
            left = [place for place in range(len(policy)) if not seen >> place & 1 and policy[place] > 0]
            total = float(policy[left].sum())
            for place in left:
                here = chance * float(policy[place]) / total
                result[place] += here * weights[place]
                later = seen | 1 << place
                if weights[place] < 1:
                    after[later] = after.get(later, 0.0) + here * float(1 - weights[place])
        refused = after
    return result


def simulated(
    policy: Floats,
    rewards: Floats,
    beta: float,
    n: int,
    k: int,
    different: bool,
    times: int,
    rng: np.random.Generator,
) -> tuple[Floats, float]:
    """Return how often each outcome is accepted, [outcomes], and how many are accepted on average.

    Args:
        policy: [outcomes].
        rewards: [outcomes].
        beta: Temperature in units of reward.
        n: Samples each time.
        k: How many are accepted; where there are fewer, all.
        different: Merge copies before, as the paper's algorithm and the command do.
        times: Runs.
        rng: Of samples and acceptance.
    """
    counts = np.zeros_like(policy)
    drawn = rng.choice(len(policy), (times, n), p=policy / policy.sum())
    for own in drawn:
        candidates = np.array(list(dict.fromkeys(own.tolist()))) if different else own
        found = rejection_sample(rewards[candidates], min(k, len(candidates)), beta, rng)
        np.add.at(counts, candidates[found.indices], 1)
    return counts / counts.sum(), float(counts.sum() / times)
