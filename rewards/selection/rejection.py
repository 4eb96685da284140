"""Statistical rejection sampling: responses as if drawn from pi(y) exp(reward / beta), with diagnostics."""

from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Displayed, counted, decimal
from rewards.errors import ConfigError

NEGLIGIBLE = 800.0
"""exp(-800) is 0 in float64; a larger exponent changes nothing and may overflow on its way."""


@dataclass(frozen=True, slots=True, eq=False)
class RejectionSample(Displayed):
    """The candidates accepted by rejection sampling, with acceptance diagnostics.

    `acceptance` is the part of all N candidates whose draw in the first pass was low enough to be
    accepted, wherever the pass was stopped, so that its mean over seeds is exactly `expected_acceptance`.
    """

    indices: NDArray[np.int64]
    """[k] the accepted candidates, in the order of acceptance."""
    acceptance: float
    """Accepted part of the first pass, in [0, 1]; comparable with `expected_acceptance`."""
    expected_acceptance: float
    """Mean over the candidates of exp((r - r_max) / beta), in [1/N, 1]."""
    passes: int
    """Passes over the remaining candidates, the last perhaps partial; in [1, k]."""
    tried: int
    """Candidates visited in all passes until the k-th was accepted; k / tried is the yield."""
    effective_sample_size: float
    """(sum w)^2 / sum w^2 of w = exp((r - r_max) / beta), in [1, N]."""
    beta: float
    """The sampling temperature, in units of reward."""

    def summary(self) -> str:
        """Return the number accepted, and the acceptance diagnostics."""
        return (
            f"{counted(len(self.indices), 'candidate')} accepted at temperature {self.beta:g} in "
            f"{counted(self.passes, 'pass', 'passes')} and {counted(self.tried, 'try', 'tries')}: acceptance "
            f"{decimal(self.acceptance, 3)} ({decimal(self.expected_acceptance, 3)} expected), effective "
            f"sample size {decimal(self.effective_sample_size, 1)}"
        )


def rejection_sample(
    rewards: ArrayLike, k: int, beta: float, rng: np.random.Generator, *, shuffle: bool = False
) -> RejectionSample:
    """Draw k of N candidates by statistical rejection sampling (RSO, Liu et al. 2309.06657, Algorithm 1).

    Goes through the remaining candidates in their order and accepts each with probability
    exp((r - m) / beta), where m is the highest reward among those that remained when the pass began. Stops
    at the k-th acceptance, in the middle of a pass too; the accepted leave at the end of each pass. Since
    u < 1 = exp(0), a whole pass accepts its maximum at least, so there are k passes at most.

    beta towards 0 gives the k best, beta towards infinity the first k in the given order. Because of the
    early stop the given order matters: that is the algorithm, and harmless for samples in the order they
    were drawn, but not for candidates sorted by something. `shuffle` visits them in random order.

    Args:
        rewards: [N] rewards of candidates whose texts differ; the caller has removed copies, which would
            otherwise be accepted side by side.
        k: How many to accept, in [1, N].
        beta: Temperature in units of reward, above 0; infinite accepts all.
        rng: Source of the draws.
        shuffle: Visit the candidates in an order drawn from `rng`.

    Raises:
        ConfigError: beta not above 0, a reward that is not finite, k below 1, fewer than k candidates.
    """
    values = _checked(rewards, k)
    weights = acceptance_probabilities(values, beta)
    total = float(weights.sum())
    remaining = rng.permutation(len(values)) if shuffle else np.arange(len(values))
    chosen: list[int] = []
    acceptance, passes, tried = 0.0, 0, 0
    while len(chosen) < k:
        # One draw for each remaining candidate, those after the stop too: see `acceptance`.
        low = rng.random(len(remaining)) < _probabilities(values[remaining], beta)
        accepted = np.flatnonzero(low)[: k - len(chosen)]
        chosen.extend(remaining[accepted].tolist())
        stopped = len(chosen) == k
        tried += int(accepted[-1]) + 1 if stopped else len(remaining)
        acceptance = float(low.mean()) if passes == 0 else acceptance
        passes += 1
        remaining = np.delete(remaining, accepted)
    return RejectionSample(
        indices=np.array(chosen, dtype=np.int64),
        acceptance=acceptance,
        expected_acceptance=float(total / len(values)),
        passes=passes,
        tried=tried,
        effective_sample_size=float(total**2 / (weights**2).sum()),
        beta=float(beta),
    )


def acceptance_probabilities(rewards: ArrayLike, beta: float) -> NDArray[np.float64]:
    """Return exp((r - r_max) / beta) for each candidate, in [0, 1]; the best has 1.

    Args:
        rewards: [N], finite.
        beta: Temperature in units of reward, above 0; infinite gives 1 to all.

    Raises:
        ConfigError: beta not above 0, or a reward that is not finite.
    """
    values = _checked(rewards, 1)
    if isinstance(beta, bool) or not beta > 0:
        raise ConfigError(f"beta is above 0, got {beta!r}; best_of_n is the limit at 0")
    return _probabilities(values, beta)


def _probabilities(values: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    gaps = np.minimum(values.max() - values, NEGLIGIBLE * float(beta))
    return np.asarray(np.exp(-(gaps / beta)), dtype=np.float64)


def _checked(rewards: ArrayLike, k: int) -> NDArray[np.float64]:
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ConfigError(f"rewards are [N] with N of 1 or more, got shape {values.shape}")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ConfigError(f"a reward is finite, got {values[place]} at {place}")
    try:
        count = index(k)
    except TypeError:
        raise ConfigError(f"k is a whole number, got {k!r}") from None
    if not 1 <= count <= len(values):
        raise ConfigError(f"k is in [1, {len(values)}], the number of candidates; got {k}")
    return values
