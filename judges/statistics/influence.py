"""Influence of each prompt on a human-corrected win rate, with the resulting weight and error."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = ArrayLike | Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the comparisons of people and of the model spread over prompts: sums over prompts of shares.

    No verdict is in it, so that what follows from it cannot be correlated with any.
    """

    human: float
    """Sum of squares of the prompts' shares of the human-labelled comparisons; 1 / m for m prompts alike."""
    both: float
    """Sum of products of the prompts' shares in both sets; 0 where no prompt is in both."""
    model: float
    """Sum of squares of the prompts' shares of the model's comparisons; 1 / n for n prompts alike."""

    def share(self, growth: float = 1.0) -> float:
        """Return the part of the slope of human on model verdicts that is the weight of least variance.

        1 / (1 + m / n) for m and n other comparisons, 1 for m of the n, with `growth` times as many m.
        """
        difference = self.human / growth - 2 * self.both + self.model
        usable = difference > 1e-12 * self.human and growth * self.both**2 < self.human * self.model
        return (self.human / growth - self.both) / difference if usable else 0.0

    def explained(self, growth: float = 1.0) -> float:
        """Return the part of the human mean's variance that a model that is always right takes away."""
        return max(0.0, self.share(growth) * (1 - growth * self.both / self.human))


@dataclass(frozen=True, slots=True)
class Influences:
    """How far each prompt moves three means, [prompts]; 0 where a prompt is not in the mean.

    The means are those of the human verdicts, of the model's beside them on the same comparisons, and of the
    model's on its own comparisons. A mean's variance is the sum of squares of its influences.
    """

    human: Floats
    beside: Floats
    model: Floats
    human_share: Floats
    """Each prompt's share of the human-labelled comparisons."""
    model_share: Floats

    @property
    def prompts(self) -> int:
        """Prompts with human verdicts."""
        return int((self.human_share > 0).sum())

    @property
    def overlap(self) -> Overlap:
        """How the two sets of comparisons spread over prompts."""
        human, model = self.human_share, self.model_share
        return Overlap(float(human @ human), float(human @ model), float(model @ model))

    @property
    def slope(self) -> float:
        """The regression slope of human on model verdicts, 0 where the model does not vary."""
        spread = float(self.beside @ self.beside)
        return float(self.human @ self.beside) / spread if spread > 0 else 0.0

    @property
    def correlation(self) -> float:
        """The correlation of prompts' human and model verdicts, 0 where either does not vary."""
        spread = math.sqrt(float(self.human @ self.human) * float(self.beside @ self.beside))
        return float(self.human @ self.beside) / spread if spread > 0 else 0.0

    def human_error(self) -> float:
        """Return the standard error of the human mean."""
        return float(np.linalg.norm(self.human)) * _unbiased(self.human_share)

    def corrected(self, people: float, difference: float) -> tuple[float, float]:
        """Return the corrected win rate and its standard error.

        Each prompt is corrected with the weight fitted without it. The two are then independent, so that the
        mean is unbiased, and a prompt that bends the weight towards itself does not hide its own error.

        Args:
            people: The mean of the human verdicts.
            difference: The model's mean on its own comparisons less that on the human-labelled ones.
        """
        weights = self._slopes_without_each() * self.overlap.share()
        mean = people + float((weights * (self.human_share * difference - self.beside)).sum())
        human = (self.human - weights * self.beside) * _unbiased(self.human_share)
        model = float(weights @ self.human_share) * self.model * _unbiased(self.model_share)
        return mean, float(np.linalg.norm(human + model))

    def _slopes_without_each(self) -> Floats:
        # Sums about the mean of the others are the sum about the mean of all less n / (n - 1) times the
        # prompt's own product; exact for prompts with as many verdicts each.
        own = _unbiased(self.human_share) ** 2
        products, squares = self.human * self.beside, self.beside**2
        above, below = products.sum() - own * products, squares.sum() - own * squares
        return np.asarray(
            np.divide(above, below, out=np.zeros_like(below), where=below > 1e-12 * squares.sum())
        )


def influences(
    model: Floats, human: Floats, beside: Floats, model_labels: Integers, human_labels: Integers
) -> Influences:
    """Return the influences of prompts on the means of model [n], and of human and beside [m]."""
    size = int(max(model_labels.max(), human_labels.max())) + 1

    def influence(values: Floats, labels: Integers) -> Floats:
        sums = np.bincount(labels, weights=(values - values.mean()) / len(values), minlength=size)
        return sums.astype(np.float64)

    return Influences(
        human=influence(human, human_labels),
        beside=influence(beside, human_labels),
        model=influence(model, model_labels),
        human_share=np.bincount(human_labels, minlength=size) / len(human_labels),
        model_share=np.bincount(model_labels, minlength=size) / len(model_labels),
    )


def _unbiased(share: Floats) -> float:
    """Return sqrt(n / (n - 1)) for n prompts, by which influences about a fitted mean are too small."""
    prompts = int((share > 0).sum())
    return math.sqrt(prompts / max(1, prompts - 1))


def prompt_numbers(
    model: Floats, beside: Floats, model_prompts: Labels | None, human_prompts: Labels | None, included: bool
) -> tuple[Integers, Integers]:
    """Return each row's prompt as a number, alike for the same prompt in both sets."""
    if (model_prompts is None) != (human_prompts is None):
        raise ConfigError("model_prompts and human_prompts are given together or not at all")
    if model_prompts is None or human_prompts is None:
        numbers = np.arange(len(model))
        return numbers, _among(model, beside) if included else len(model) + np.arange(len(beside))
    if included:
        raise ConfigError("with prompts their labels tell which comparisons are in both sets; omit included")
    first, second = np.asarray(model_prompts), np.asarray(human_prompts)
    if first.shape != model.shape or second.shape != beside.shape:
        raise ConfigError(
            f"a prompt for each verdict: {first.shape} for {model.shape}, {second.shape} for {beside.shape}"
        )
    places = np.unique(np.concatenate([first, second]), return_inverse=True)[1]
    return places[: len(first)], places[len(first) :]


def _among(model: Floats, beside: Floats) -> Integers:
    """Return for each of the model's verdicts [m] a different place of the same verdict in model [n].

    Which of several comparisons with the same verdict it was does not change any sum.
    """
    order, mine = np.argsort(model, kind="stable"), np.argsort(beside, kind="stable")
    ascending, wanted = model[order], beside[mine]
    # The k-th of equal wanted values takes the k-th of those values that are there.
    place = np.searchsorted(ascending, wanted) + np.arange(len(wanted)) - np.searchsorted(wanted, wanted)
    lost = place >= np.searchsorted(ascending, wanted, side="right")
    if lost.any():
        raise ConfigError(f"included: model_on_human has {wanted[lost][0]} more often than model_preferences")
    places = np.empty(len(beside), dtype=np.int64)
    places[mine] = order[place]
    return places
