"""How hard each prompt was for the other systems: a covariate for length control across several systems."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError

Floats = NDArray[np.float64]


def prompt_difficulty(
    preferences: ArrayLike, systems: ArrayLike, prompts: ArrayLike, prior: float = 2.0
) -> Floats:
    """Return for each row how hard its prompt was for the other systems: [n], 0 where they say nothing.

    Several systems (as first) were compared with one baseline on shared prompts. What a system's verdicts
    fall short of its own mean, averaged over the other systems' rows of a prompt, is the prompt's
    difficulty. A row's own system has no part in its value, so that the value may explain that system's
    verdicts; AlpacaEval estimates all systems' at once and freezes them.

    Args:
        preferences: [n] in [0, 1], NaN where missing.
        systems: [n], which system was first.
        prompts: [n].
        prior: Rows' worth of shrinkage to 0 of an average of few.

    Raises:
        ConfigError: Arguments of different lengths, or a prior of 0 or less.
    """
    labels = np.asarray(preferences, dtype=np.float64)
    if not labels.shape == np.shape(systems) == np.shape(prompts) or labels.ndim != 1 or not prior > 0:
        raise ConfigError(
            f"each preference needs a system and a prompt, and prior is above 0; got {labels.shape}, "
            f"{np.shape(systems)}, {np.shape(prompts)} and {prior!r}"
        )
    system = np.unique(np.asarray(systems), return_inverse=True)[1]
    prompt = np.unique(np.asarray(prompts), return_inverse=True)[1]
    seen = ~np.isnan(labels)
    known = np.where(seen, labels, 0.0)
    means = np.bincount(system, weights=known) / np.maximum(np.bincount(system, weights=seen), 1)
    short = np.where(seen, means[system] - known, 0.0)
    pair = np.unique(np.column_stack([system, prompt]), axis=0, return_inverse=True)[1].ravel()

    def of_others(values: Floats) -> Floats:
        return np.asarray(np.bincount(prompt, values)[prompt] - np.bincount(pair, values)[pair])

    return of_others(short) / (of_others(seen.astype(np.float64)) + prior)
