"""Prediction-powered win rate: many model verdicts, corrected by few human verdicts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import t as student

from judges.statistics.influence import Floats, Labels, Overlap, influences, prompt_numbers
from rewards.display import Displayed, counted, decimal, estimated
from rewards.errors import ConfigError

FEWEST_PROMPTS = 3  # a mean and a weight are estimated, so that two leave nothing to tell the error by


@dataclass(frozen=True, slots=True)
class MeanWithInterval(Displayed):
    """A mean of verdicts with Student's interval over prompts."""

    mean: float
    standard_error: float
    low: float | None
    """None, as `high`, where all verdicts are alike, which does not tell how uncertain they are."""
    high: float | None

    def summary(self) -> str:
        """Return the mean with its interval."""
        return estimated(self.mean, self.low, self.high)


@dataclass(frozen=True, slots=True)
class HumanCorrectedWinRate(Displayed):
    """The first side's human win rate: the human mean, corrected by the model's verdicts.

    `mean` is human mean + weight x (model's mean on its comparisons - model's mean where people judged too),
    but that each prompt has the weight of the others, of which `weight` is that of all.
    """

    mean: float
    """Not clipped to [0, 1], as that would bias it."""
    standard_error: float
    low: float | None
    """Within [0, 1]; None, as `high`, where all human verdicts are alike."""
    high: float | None
    n: int
    """Model verdicts that count."""
    missing: int
    """Model verdicts left out as they are missing."""
    human: int
    """Comparisons that count with a human and a model verdict."""
    missing_human: int
    """Comparisons of people's left out, as either verdict is missing."""
    prompts: int
    """Distinct prompts (or comparisons, where no prompts are given) with human verdicts that count."""
    weight: float
    """Weight of the model: 0 ignores it; near 1 its verdicts are as good as people's."""
    model_mean: float
    """The model's win rate as it stands, uncorrected."""
    human_only: MeanWithInterval
    """People's verdicts alone."""
    level: float
    correlation: float
    """Of people's and the model's verdicts, over prompts."""
    overlap: Overlap
    """How the two sets of comparisons spread over prompts."""

    @property
    def gain(self) -> float | None:
        """How many times as many human verdicts alone would have the same standard error; 1 gains nothing.

        The variance of `human_only` over that of the corrected win rate; None where the latter is 0.
        """
        if self.standard_error == 0:
            return None
        return (self.human_only.standard_error / self.standard_error) ** 2

    def summary(self) -> str:
        """Return the corrected win rate beside that of the model and of people alone."""
        gain = "" if self.gain is None else f"; as good as {decimal(self.gain)} times as many human verdicts"
        return (
            f"win rate {estimated(self.mean, self.low, self.high)}, corrected by "
            f"{counted(self.human, 'human verdict')} of {counted(self.prompts, 'prompt')}{gain}\n"
            f"model alone {decimal(self.model_mean, 3)} of {counted(self.n, 'verdict')}, people alone "
            f"{self.human_only}"
        )

    def more_labels(self, half_width: float) -> int:
        """Return how many more human verdicts bring the interval to mean +- half_width, judging alike.

        Further human verdicts are taken to be like those that are there: as many to a prompt, as variable, as
        well predicted by the model, whose own verdicts stay as they are. 0 where none are needed.

        Raises:
            ConfigError: The half-width is not between 0 and 1, or all human verdicts so far are alike.
        """
        if not 0 < half_width < 1:
            raise ConfigError(f"half_width is between 0 and 1, got {half_width!r}")
        if self.low is None:
            raise ConfigError("all human verdicts so far are alike, which does not tell how many to add")

        def wide(labels: int) -> bool:
            growth = labels / self.human
            left = self._variance_left(growth) / (growth * self._variance_left(1))
            error = self.standard_error * math.sqrt(left)
            low, high = _interval(self.mean, error, self.level, self.prompts * growth - 2)
            return low is not None and high is not None and high - low > 2 * half_width

        few, many = self.human - 1, self.human
        while wide(many):
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if wide(middle) else (few, middle)
        return many - self.human

    def _variance_left(self, growth: float) -> float:
        """Return the part of the human mean's variance that the model leaves, with more human verdicts."""
        return 1 - self.correlation**2 * self.overlap.explained(growth)


def human_corrected_win_rate(
    model_preferences: ArrayLike,
    human_preferences: ArrayLike,
    model_on_human: ArrayLike,
    level: float = 0.95,
    model_prompts: Labels | None = None,
    human_prompts: Labels | None = None,
    included: bool = False,
) -> HumanCorrectedWinRate:
    """Return the win rate of first in people's eyes, from n model verdicts and m of both people and model.

    Prediction-powered inference (Angelopoulos et al. 2023, for a mean) with the power-tuned weight
    (Angelopoulos, Duchi and Zrnic 2023, "PPI++", section 6) cov(human, model) / ((1 + m / n) var(model)).
    Each prompt is corrected with the weight fitted to the other prompts, so that the mean is unbiased however
    wrong the model is (but for terms of 1 / n where the two sets overlap), if the comparisons that people
    judged are drawn at random from those that the win rate is about, sides included.

    Both orders, several judges and repeats of a prompt are rows that share its label in `model_prompts` [n]
    and `human_prompts` [m]; a label that occurs in both is the same prompt, so that the two sets may overlap
    or be the same. Without prompts each row is a comparison of its own, and the n are others than the m,
    unless `included` says that the m are among the n.

    The interval is Student's, over prompts. It holds with about 50 human-labelled prompts or more; with
    fewer, or a model that errs on a handful of them only, it is too short: errors too rare to be seen are
    not in it.

    Args:
        model_preferences: [n] the model's verdicts in [0, 1]: 1 first wins, 0.5 tie; NaN is missing.
        human_preferences: [m] people's verdicts on some comparisons.
        model_on_human: [m] the model's verdicts on the same comparisons.
        level: Of the interval, between 0 and 1.
        model_prompts: [n] the prompt of each model verdict; needs human_prompts.
        human_prompts: [m] the prompt of each human verdict.
        included: Whether the m comparisons are among the n, where no prompts tell.

    Raises:
        ConfigError: Shapes or values are not as said, or people judged fewer than three prompts.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is between 0 and 1, got {level!r}")
    model = _verdicts(model_preferences, "model_preferences")
    human = _verdicts(human_preferences, "human_preferences")
    beside = _verdicts(model_on_human, "model_on_human")
    if human.shape != beside.shape:
        raise ConfigError(f"as many human as model verdicts on the same, got {len(human)} and {len(beside)}")
    model_labels, human_labels = prompt_numbers(model, beside, model_prompts, human_prompts, included)
    there, both = ~np.isnan(model), ~(np.isnan(human) | np.isnan(beside))
    prompts = len(np.unique(human_labels[both]))
    if prompts < FEWEST_PROMPTS or not there.any():
        raise ConfigError(
            f"needs model verdicts, and people's on at least {FEWEST_PROMPTS} prompts; "
            f"got {int(there.sum())} of the model and people's on {prompts} prompts"
        )
    moved = influences(model[there], human[both], beside[both], model_labels[there], human_labels[both])
    people, model_mean = float(human[both].mean()), float(model[there].mean())
    mean, error = moved.corrected(people, model_mean - float(beside[both].mean()))
    low, high = _interval(mean, error, level, prompts - 2)
    alone = moved.human_error()
    return HumanCorrectedWinRate(
        mean=mean,
        standard_error=error,
        low=low,
        high=high,
        n=int(there.sum()),
        missing=int((~there).sum()),
        human=int(both.sum()),
        missing_human=int((~both).sum()),
        prompts=prompts,
        weight=moved.slope * moved.overlap.share(),
        model_mean=model_mean,
        human_only=MeanWithInterval(people, alone, *_interval(people, alone, level, prompts - 1)),
        level=level,
        correlation=moved.correlation,
        overlap=moved.overlap,
    )


def _verdicts(preferences: ArrayLike, name: str) -> Floats:
    values = np.asarray(preferences, dtype=np.float64)
    wrong = ~(np.isnan(values) | ((values >= 0) & (values <= 1)))
    if values.ndim != 1 or wrong.any():
        got = values[wrong][0] if wrong.any() else f"an array of shape {values.shape}"
        raise ConfigError(f"{name} are verdicts [n] in [0, 1] or NaN, got {got}")
    return values


def _interval(
    mean: float, error: float, level: float, degrees_of_freedom: float
) -> tuple[float | None, float | None]:
    """Return Student's interval on the scale of log odds; plain and clipped where the mean has no log odds.

    Near 0 and 1, where an estimate's error falls with the estimate, a plain one is too short on one side.
    """
    if error == 0:
        return None, None
    reach = float(student.ppf((1 + level) / 2, degrees_of_freedom)) * error
    if not 0 < mean < 1:
        return max(0.0, mean - reach), min(1.0, mean + reach)
    middle, reach = float(logit(mean)), reach / (mean * (1 - mean))
    return float(expit(middle - reach)), float(expit(middle + reach))
