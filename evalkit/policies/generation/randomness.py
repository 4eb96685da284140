"""Random numbers determined by seed, prompt, sample number and decoding step, whatever the batch."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rewards.records import Prompt, prompt_key

# Constants of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"): the
# increment of the counter and the multipliers of its finaliser (Stafford's variant 13).
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def sample_keys(seed: int, prompt: Prompt, occurrence: int, n: int) -> NDArray[np.uint64]:
    """Return a key for each of a prompt's samples, from which its random numbers follow.

    Args:
        seed: Seed of the run.
        prompt: The prompt; its text counts, not its place in a file.
        occurrence: How often the same prompt occurred before, from 0.
        n: Number of samples; the first keys do not depend on it.

    Returns:
        Keys, shape [n].
    """
    text = f"{seed}\x1e{occurrence}\x1e{prompt_key(prompt)}".encode("utf-8", "surrogatepass")
    start = np.uint64(int.from_bytes(blake2b(text, digest_size=8).digest()))
    return _scramble(_scramble(start + np.arange(1, n + 1, dtype=np.uint64) * INCREMENT))


def uniforms(keys: NDArray[np.uint64], step: int) -> NDArray[np.float64]:
    """Return each sample's random number for one step, uniform on [0, 1).

    Args:
        keys: Keys of `sample_keys`, shape [rows].
        step: Number of tokens sampled before, from 0.

    Returns:
        Multiples of 2^-52, shape [rows]; so u * total < total in float64 for every total.
    """
    counters = keys + np.uint64((step + 1) * int(INCREMENT) % 2**64)
    return (_scramble(counters) >> np.uint64(12)).astype(np.float64) * 2.0**-52


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finaliser of SplitMix64: a bijection in which each bit moves about half the others."""
    values = (values ^ (values >> np.uint64(30))) * MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))
