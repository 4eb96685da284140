"""AlpacaEval's win rate, standard error and length-controlled win rate, exactly as it computes them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from judges.statistics.logistic import fit_lasso
from rewards.errors import ConfigError, DataError

Floats = NDArray[np.float64]

COSTS = tuple(float(cost) for cost in np.logspace(-4, 4, 10))
"""The costs among which AlpacaEval's cross-validation chooses."""


@dataclass(frozen=True, slots=True)
class AlpacaEvalWinRate:
    """One row of AlpacaEval's leaderboard; rates and errors in percent."""

    win_rate: float
    standard_error: float | None
    """None where fewer than two rows have a preference."""
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    """Rows with a preference; the others are in no figure but `dropped`."""
    dropped: int
    """Rows whose preference is null or outside [1, 2]."""
    discrete_win_rate: float
    """The share of wins, a draw counting as half."""
    avg_length: int | None
    """Mean length of the model's outputs, cut to whole characters; None where no lengths are given."""


@dataclass(frozen=True, slots=True)
class LengthControlWeights:
    """The coefficients of AlpacaEval's model, in the order of its file of weights."""

    length: float
    """phi, on tanh((baseline's length - model's) / its standard deviation)."""
    difficulty: float
    """psi, on the instruction's difficulty."""
    model: float
    """theta, on 1 for the model's own rows and 0 for the gamed baselines'."""


@dataclass(frozen=True, slots=True)
class AlpacaEvalLengthControlled:
    """AlpacaEval's length-controlled win rate, in percent."""

    win_rate: float
    standard_error: float
    """AlpacaEval's: the spread of fitted probabilities over instructions. It leaves out that the weights are
    estimated, so it is no error bar; `length_control` has one."""
    weights: LengthControlWeights
    cost: float | None = None
    """Of the lasso, where the weights were fitted here."""


@dataclass(frozen=True, slots=True)
class GamedBaselines:
    """AlpacaEval's extra data: its verbose and concise baselines against the plain one.

    Their rows weigh `weight` / 2 each, and pull the coefficients of length and difficulty only. A logistic
    fit needs no single preference of theirs, but the sum over rows of preference * features.
    """

    features: tuple[tuple[float, float], ...]
    """For each row tanh of the standardised length difference, and the instruction's difficulty."""
    statistic: tuple[float, float]
    """The sum over rows of (preference - 1) * features."""
    weight: float = 0.2
    """AlpacaEval's `regularize_to_baseline_lambda`, shared by the two baselines."""

    def __post_init__(self) -> None:
        if np.shape(self.features) != (len(self.features), 2) or not self.features:
            raise ConfigError(f"gamed baselines have two features a row, got {np.shape(self.features)}")
        if not self.weight > 0:
            raise ConfigError(f"the weight of gamed baselines is above 0, got {self.weight!r}")


def alpaca_eval_win_rate(preferences: ArrayLike, lengths: ArrayLike | None = None) -> AlpacaEvalWinRate:
    """Return the plain figures of AlpacaEval's leaderboard.

    Args:
        preferences: [n], the probability that the model beats the baseline, plus 1: in [1, 2]. 0 is a draw;
            NaN or anything else outside is dropped and counted.
        lengths: [n], characters of the model's outputs.

    Raises:
        DataError: No row has a preference.
    """
    values = np.asarray(preferences, dtype=np.float64)
    values = np.where(values == 0, 1.5, values)
    kept = values[(values >= 1) & (values <= 2)]
    if not kept.size:
        raise DataError(f"none of {values.size} rows has a preference in [1, 2]")
    wins, losses = int((kept > 1.5).sum()), int((kept < 1.5).sum())
    draws = len(kept) - wins - losses
    error = 100 * float(kept.std(ddof=1)) / math.sqrt(len(kept)) if len(kept) > 1 else None
    return AlpacaEvalWinRate(
        win_rate=100 * float((kept - 1).mean()),
        standard_error=error,
        n_wins=wins,
        n_wins_base=losses,
        n_draws=draws,
        n_total=len(kept),
        dropped=values.size - len(kept),
        discrete_win_rate=100 * (wins + draws / 2) / len(kept),
        avg_length=None if lengths is None else int(np.mean(np.asarray(lengths, dtype=np.float64))),
    )


def length_controlled_from_weights(
    weights: LengthControlWeights, difficulty: ArrayLike, rows: int
) -> AlpacaEvalLengthControlled:
    """Return the win rate that published weights imply, at no difference of length.

    Args:
        weights: The model's row of AlpacaEval's file of weights.
        difficulty: Of all instructions, in AlpacaEval's order.
        rows: Rows in the model's file of annotations, with or without a preference. AlpacaEval looks the
            difficulty up by a row's position in that file, not by its instruction, so a file that lacks rows
            is given the first difficulties; so it is here, as the published figures are made that way.

    Raises:
        ConfigError: There are more rows than difficulties, or none.
    """
    known = _by_position(difficulty, rows)
    return _controlled(weights, known, None)


def length_controlled_refit(
    preferences: ArrayLike,
    length_difference: ArrayLike,
    difficulty: ArrayLike,
    gamed: GamedBaselines | None = None,
    cost: float | None = None,
) -> AlpacaEvalLengthControlled:
    """Fit AlpacaEval's length-controlled model to one model's annotations.

    logit P(model wins) = length * tanh(d / sd(d)) + difficulty * gamma + model * [own row], without an
    intercept, fitted with a lasso (Dubois et al. 2024, and the code of AlpacaEval 2).

    Args:
        preferences: [n], as for `alpaca_eval_win_rate`; rows that have none are not fitted, but stay in the
            mean of the prediction, as in AlpacaEval.
        length_difference: [n], characters, the baseline's minus the model's.
        difficulty: Of all instructions, looked up by position (see `length_controlled_from_weights`).
        gamed: The gamed baselines; AlpacaEval always has them, and without them its figures are not met.
        cost: Of the lasso: the log loss counts this much beside the sizes of the coefficients. None chooses
            among COSTS by five-fold cross-validation as AlpacaEval does, but that each fold is taken to hold
            a fifth of the gamed baselines' statistic, as their single preferences are not given.

    Raises:
        ConfigError: Lengths do not match preferences, or all length differences are equal.
        DataError: No row has a preference.
    """
    values, differences = np.asarray(preferences, np.float64), np.asarray(length_difference, np.float64)
    if values.shape != differences.shape or values.ndim != 1 or not np.isfinite(differences).all():
        raise ConfigError(
            f"each preference needs a length difference, got {values.shape} and {differences.shape}"
        )
    known = _by_position(difficulty, len(values))
    labels = np.where(values == 0, 1.5, values) - 1
    kept = (labels >= 0) & (labels <= 1)
    if not kept.any():
        raise DataError(f"none of {values.size} rows has a preference in [1, 2]")
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if not spread > 0:
        raise ConfigError("all length differences are equal, so length cannot be controlled")
    own = np.column_stack([np.tanh(differences / spread), known, np.ones_like(known)])[kept]
    labels = labels[kept]
    extra, statistic = _extra_rows(gamed)
    cost = _chosen_cost(own, labels, extra, statistic) if cost is None else cost
    fitted = _fit(own, labels, extra, statistic, cost)
    return _controlled(LengthControlWeights(*(float(value) for value in fitted)), known, cost)


def model_against_model(
    first: LengthControlWeights, second: LengthControlWeights, difficulty: ArrayLike
) -> float:
    """Return the length-controlled win rate, in percent, of one model over another on the leaderboard.

    The difference of their log-odds against the common baseline, averaged over all instructions.
    """
    odds = first.model - second.model
    return 100 * float(
        expit(odds + (first.difficulty - second.difficulty) * np.asarray(difficulty, np.float64)).mean()
    )


def _by_position(difficulty: ArrayLike, rows: int) -> Floats:
    known = np.asarray(difficulty, dtype=np.float64)
    if known.ndim != 1 or not 0 < rows <= len(known) or not np.isfinite(known).all():
        raise ConfigError(
            f"each of {rows} rows needs a difficulty, got {known.shape}; AlpacaEval's length control is for "
            "its own instructions, length_controlled_win_rate is for any"
        )
    return known[:rows]


def _controlled(
    weights: LengthControlWeights, difficulty: Floats, cost: float | None
) -> AlpacaEvalLengthControlled:
    fitted = expit(weights.model + weights.difficulty * difficulty)
    error = float(fitted.std(ddof=1)) / math.sqrt(len(fitted)) if len(fitted) > 1 else 0.0
    return AlpacaEvalLengthControlled(100 * float(fitted.mean()), 100 * error, weights, cost)


def _fit(own: Floats, labels: Floats, extra: Floats, statistic: Floats, cost: float) -> Floats:
    """Fit a model's rows [n, 3] beside weighted extra rows [m, 3 and the weight] and their statistic [3]."""
    features = np.concatenate([own, extra[:, :3]])
    weights = np.concatenate([np.ones(len(own)), extra[:, 3]])
    return fit_lasso(features, own.T @ labels + statistic, weights, cost)


def _extra_rows(gamed: GamedBaselines | None) -> tuple[Floats, Floats]:
    """Return the gamed baselines' rows [m, 3 and the weight] and their weighted statistic [3]."""
    if gamed is None:
        return np.empty((0, 4)), np.zeros(3)
    rows = np.zeros((len(gamed.features), 4))
    rows[:, :2], rows[:, 3] = gamed.features, gamed.weight / 2
    return rows, np.array([*gamed.statistic, 0.0]) * gamed.weight / 2


def _chosen_cost(own: Floats, labels: Floats, extra: Floats, statistic: Floats, folds: int = 5) -> float:
    """Return the cost with the least held-out log loss, the smallest such where several are best."""
    if len(own) < folds:
        raise ConfigError(f"cross-validation needs {folds} rows or more, got {len(own)}; give the cost")
    fold = np.arange(len(extra) + len(own))[::-1] % folds
    extra_fold, own_fold = fold[: len(extra)], fold[len(extra) :]

    def held_out(cost: float, part: int) -> float:
        test, other = own_fold == part, extra_fold == part
        trained = (folds - 1) / folds * statistic
        fitted = _fit(own[~test], labels[~test], extra[~other], trained, cost)
        odds, other_odds = own[test] @ fitted, extra[other, :3] @ fitted
        loss = (np.logaddexp(0, odds) - labels[test] * odds).sum()
        loss += extra[other, 3] @ np.logaddexp(0, other_odds) - statistic @ fitted / folds
        return float(loss) / (int(test.sum()) + int(other.sum()))

    losses = [math.fsum(held_out(cost, part) for part in range(folds)) for cost in COSTS]
    return COSTS[int(np.argmin(losses))]
