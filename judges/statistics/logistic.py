"""Logistic regression for labels in [0, 1]: weights, ridge, lasso, and a refusal where no estimate exists."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.special import expit

from rewards.errors import ConfigError, EvalkitError

Floats = NDArray[np.float64]

_STEPS = 100
_SUSPECT = 15.0  # log-odds beyond which separation is looked for: probabilities of 3e-7
_TOLERANCE = 1e-10


class NotEstimableError(EvalkitError, ValueError):
    """A coefficient is not identified, or infinite."""


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Coefficients that minimise the sum of weighted log losses plus ridge / 2 times their squares."""

    coefficients: Floats
    """[k], log-odds per unit of each column."""
    information: Floats
    """[k, k], the second derivatives of what is minimised, at the coefficients."""
    fitted: Floats
    """[n], the probability of each row."""
    ridge: Floats
    """[k], the penalty on each squared coefficient."""


def fit_logistic(
    features: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, ridge: ArrayLike = 0.0
) -> LogisticFit:
    """Fit P(label = 1) = sigmoid(features @ coefficients) by Newton's method.

    A label between 0 and 1 is a share of a success (a tie is 0.5): its log loss is the expected one, which
    gives the same coefficients as one row of label 1 and one of label 0 with the label's shares as weights
    (Papke and Wooldridge 1996). No intercept is added.

    Args:
        features: [n, k].
        labels: [n] in [0, 1].
        weights: [n], 0 or more; None is 1 each.
        ridge: Penalty on half of each squared coefficient, one for all or [k]; 0 for an intercept.

    Raises:
        ConfigError: The arguments do not fit together.
        NotEstimableError: A column follows from the others, or a combination of columns separates the labels
            of 1 from those of 0, so that no finite coefficients are best.
    """
    features, labels, weights = _checked(features, labels, weights)
    ridge = np.broadcast_to(np.asarray(ridge, dtype=np.float64), features.shape[1:]).copy()
    if not (np.isfinite(ridge).all() and (ridge >= 0).all()):
        raise ConfigError(f"a ridge penalty is 0 or more, got {ridge.tolist()}")
    column = redundant_column(features, weights, ridge)
    if column is not None:
        raise NotEstimableError(f"column {column} of the features is constant or follows from the others")
    coefficients = _newton(features, labels, weights, ridge)
    fitted = expit(features @ coefficients)
    return LogisticFit(coefficients, _information(features, weights, ridge, fitted), fitted, ridge)


def fit_lasso(features: ArrayLike, statistic: ArrayLike, weights: ArrayLike, cost: float) -> Floats:
    """Return the coefficients [k] that minimise cost * (weighted log loss) + the sum of their sizes.

    The labels enter only by `statistic` [k], the sum over rows of weight * label * features (a logistic
    likelihood needs no more), so that data whose labels are not at hand can take part. Each step is a Newton
    step whose lasso problem is solved exactly; while no coefficient changes its sign that is Newton's method
    on a smooth function, and it ends as sharply.

    Raises:
        ConfigError: The arguments do not fit together.
        NotEstimableError: It did not converge.
    """
    features, _, weights = _checked(features, np.zeros(len(np.asarray(features))), weights)
    statistic = np.asarray(statistic, dtype=np.float64)
    if statistic.shape != features.shape[1:] or not cost > 0:
        raise ConfigError(
            f"a lasso needs one statistic a column and a cost above 0, got {statistic}, {cost!r}"
        )

    def loss(coefficients: Floats) -> float:
        smooth = weights @ np.logaddexp(0, features @ coefficients) - statistic @ coefficients
        return float(cost * smooth + np.abs(coefficients).sum())

    coefficients = np.zeros(len(statistic))
    for _ in range(_STEPS):
        fitted = expit(features @ coefficients)
        gradient = cost * (features.T @ (weights * fitted) - statistic)
        curvature = cost * _information(features, weights, np.zeros(len(statistic)), fitted)
        move = _lasso_step(coefficients, gradient, curvature) - coefficients
        if np.abs(move).max() <= _TOLERANCE * (1 + np.abs(coefficients).max()):
            return np.asarray(coefficients + move)
        share, now = 1.0, loss(coefficients)
        while loss(coefficients + share * move) > now + 1e-12 * abs(now) and share > 1e-8:
            share /= 2
        coefficients = coefficients + share * move
    raise NotEstimableError(f"the fit did not settle in {_STEPS} steps")


def leave_one_out(fit: LogisticFit, features: Floats, labels: Floats, groups: NDArray[np.intp]) -> Floats:
    """Return by how much the coefficients change where one group of rows is left out: [groups, k].

    One Newton step from the fit to all rows (weights 1), which is the cluster-robust CR3 of Bell and
    McCaffrey (2002) to first order in the curvature.

    Args:
        fit: Of `labels` on `features`, without weights.
        features: [n, k].
        labels: [n].
        groups: [n], the number of each row's group, from 0 on without gaps.

    Raises:
        NotEstimableError: Without one of the groups the coefficients would not be determined.
    """
    k = features.shape[1]
    spread = fit.fitted * (1 - fit.fitted)
    kept = np.empty((int(groups.max()) + 1, k, k))
    for row in range(k):
        for column in range(row + 1):
            sums = np.bincount(groups, weights=spread * features[:, row] * features[:, column])
            kept[:, row, column] = kept[:, column, row] = fit.information[row, column] - sums
    lost = (labels - fit.fitted)[:, None] * features
    scores = np.column_stack([np.bincount(groups, weights=column) for column in lost.T])
    sizes = np.sqrt(np.diagonal(fit.information))
    if np.linalg.eigvalsh(kept / np.outer(sizes, sizes)).min() < 1e-9:
        raise NotEstimableError("a coefficient is determined by the rows of one prompt alone")
    return np.asarray(-np.linalg.solve(kept, scores[:, :, None])[:, :, 0])


def redundant_column(features: Floats, weights: Floats, ridge: Floats) -> int | None:
    """Return the column that follows from the others and is not penalised, or None."""
    sizes = np.sqrt(weights @ features**2 + ridge)
    if (sizes == 0).any():
        return int(np.argmin(sizes))
    scaled = features / sizes
    gram = scaled.T @ (weights[:, None] * scaled) + np.diag(ridge / sizes**2)
    values, vectors = np.linalg.eigh(gram)
    if values[0] > 1e-10 * values[-1]:
        return None
    involved = np.flatnonzero(np.abs(vectors[:, 0]) > 1e-4)
    return int(involved[-1])


def separates(features: Floats, labels: Floats, ridge: Floats) -> bool:
    """Say whether some direction never lowers the likelihood, so that its best coefficient is infinite.

    Such a direction is 0 on every row whose label is inside (0, 1), never negative on rows of label 1, never
    positive on rows of label 0, and not 0 on all of them (Albert and Anderson 1984). Penalised columns have
    no part in it.
    """
    free = features[:, ridge == 0]
    inside = (labels > 0) & (labels < 1)
    sizes = np.sqrt((free**2).sum(axis=0))
    free = free / np.where(sizes > 0, sizes, 1.0)
    values, vectors = np.linalg.eigh(free[inside].T @ free[inside])
    directions = vectors[:, values <= 1e-14]
    hard = np.where(labels[~inside] == 1, 1.0, -1.0)[:, None] * (free[~inside] @ directions)
    if not hard.size:
        return False
    hard = np.unique(hard, axis=0)
    hard = hard / max(float(np.abs(hard).max()), 1e-300)
    best = linprog(-hard.sum(axis=0), A_ub=-hard, b_ub=np.zeros(len(hard)), bounds=(-1, 1), method="highs")
    if best.fun is None:
        raise NotEstimableError(f"whether the labels are separated could not be told: {best.message}")
    return bool(best.fun < -1e-7)


def _newton(features: Floats, labels: Floats, weights: Floats, ridge: Floats) -> Floats:
    def loss(coefficients: Floats) -> float:
        odds = features @ coefficients
        lost = labels * np.logaddexp(0, -odds) + (1 - labels) * np.logaddexp(0, odds)
        return float(weights @ lost + ridge @ coefficients**2 / 2)

    coefficients = np.zeros(features.shape[1])
    suspected = False
    for _ in range(_STEPS):
        odds = features @ coefficients
        if not suspected and np.abs(odds).max() > _SUSPECT:
            suspected = True
            used = weights > 0
            if separates(features[used], labels[used], ridge):
                break
        fitted = expit(odds)
        gradient = features.T @ (weights * (fitted - labels)) + ridge * coefficients
        move = -np.linalg.solve(_information(features, weights, ridge, fitted), gradient)
        share, now = 1.0, loss(coefficients)
        settled = np.abs(move).max() <= _TOLERANCE * (1 + np.abs(coefficients).max())
        if settled or -gradient @ move <= 1e-14 * now:  # where all labels are extreme, rounding moves it
            return np.asarray(coefficients + move)
        while loss(coefficients + share * move) > now + 1e-12 * abs(now) and share > 1e-8:
            share /= 2
        coefficients = coefficients + share * move
    raise NotEstimableError(
        "some combination of the columns tells labels of 1 from labels of 0 without exception, so that the "
        "best coefficients are infinite; add a penalty or more data"
    )


def _lasso_step(coefficients: Floats, gradient: Floats, curvature: Floats) -> Floats:
    """Return the minimum of the quadratic model plus sizes, by descent on one coordinate after another."""
    target = coefficients.copy()
    for _ in range(10_000):
        before = target.copy()
        for place in range(len(target)):
            bend = curvature[place, place]
            slope = gradient[place] + curvature[place] @ (target - coefficients) - bend * target[place]
            target[place] = -np.sign(slope) * max(abs(slope) - 1, 0.0) / bend if bend > 0 else 0.0
        if np.abs(target - before).max() <= 1e-14 * (1 + np.abs(target).max()):
            break
    return target


def _information(features: Floats, weights: Floats, ridge: Floats, fitted: Floats) -> Floats:
    spread = weights * fitted * (1 - fitted)
    return np.asarray(features.T @ (spread[:, None] * features) + np.diag(ridge))


def _checked(
    features: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    features = np.asarray(features, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    if features.ndim != 2 or not features.size or not features.shape[:1] == labels.shape == weights.shape:
        raise ConfigError(
            f"a fit needs features [n, k], n labels and n weights; got {features.shape}, {labels.shape} and "
            f"{weights.shape}"
        )
    if not (np.isfinite(features).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise ConfigError("features and weights are finite, and no weight is negative")
    if not ((labels >= 0) & (labels <= 1)).all():
        raise ConfigError("labels are between 0 and 1; leave out rows that have none")
    return features, labels, weights
