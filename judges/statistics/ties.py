"""Tie models: half a win each, or an outcome of its own after Davidson or Rao and Kupper."""

from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit

from judges.statistics.pair_sums import Floats


class Sums(NamedTuple):
    """A log-likelihood with its derivatives, for b sets of counts over P pairs.

    With d the difference of two strengths and eta the tie parameter's logarithm; curvatures are second
    derivatives with the sign turned, hence not negative.
    """

    objective: Floats
    """[b]."""
    slope: Floats
    """[b, P], by d."""
    curvature: Floats
    """[b, P], by d twice."""
    tie_slope: Floats
    """[b], by eta."""
    cross: Floats
    """[b, P], by d and eta."""
    tie_curvature: Floats
    """[b], by eta twice."""


class TieModel(Protocol):
    """Probabilities of the outcomes between two systems, given d and eta."""

    parameters: int
    """Tie parameters: 0 or 1."""

    def start(self, tie_share: float) -> float:
        """Return the eta that a share of ties between equals implies."""
        ...

    def sums(self, counts: Floats, d: Floats, eta: Floats) -> Sums:
        """Return the log-likelihood of counts [b, m, P] at d [b, P] and eta [b]."""
        ...

    def scores(self, d: Floats, eta: float) -> tuple[Floats, Floats]:
        """Return the derivatives of each outcome's log-probability by d and by eta: [m, P] twice."""
        ...

    def expected(self, d: Floats, eta: Floats) -> Floats:
        """Return the probability of a win, plus half that of a tie."""
        ...


class HalfWins:
    """A tie is half a win for each: logistic regression on wins and losses."""

    parameters = 0

    def start(self, tie_share: float) -> float:  # noqa: ARG002 (the protocol's argument)
        """Return 0; there is no eta."""
        return 0.0

    def sums(self, counts: Floats, d: Floats, eta: Floats) -> Sums:  # noqa: ARG002 (the protocol's argument)
        """Return the log-likelihood of wins and losses."""
        wins, n = counts[:, 0], counts[:, 0] + counts[:, 1]
        # One exponential serves both p and log(1 + e^d); most of the bootstrap's time is spent here.
        small = np.exp(-np.abs(d))
        p = np.where(d >= 0, 1.0, small) / (1 + small)
        none = np.zeros(len(d))
        objective = (wins * d - n * (np.maximum(d, 0) + np.log1p(small))).sum(axis=1)
        return Sums(objective, wins - n * p, n * p * (1 - p), none, np.zeros((len(d), 1)), none)

    def scores(self, d: Floats, eta: float) -> tuple[Floats, Floats]:  # noqa: ARG002 (the protocol's argument)
        """Return 1 - p for a win and -p for a loss."""
        slopes = np.stack([expit(-d), -expit(d)])
        return slopes, np.zeros_like(slopes)

    def expected(self, d: Floats, eta: Floats) -> Floats:  # noqa: ARG002 (the protocol's argument)
        """Return the probability of a win."""
        return np.asarray(expit(d))


class Davidson:
    """Davidson (1970): win, tie, loss as e^(d/2) : nu : e^(-d/2), eta = log nu."""

    parameters = 1

    def start(self, tie_share: float) -> float:
        """Return the eta that a share of ties between equals implies."""
        return float(np.log(2 * tie_share / (1 - tie_share)))

    def _probabilities(self, d: Floats, eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        log_sum = np.logaddexp(np.logaddexp(d / 2, -d / 2), eta)
        return np.exp(d / 2 - log_sum), np.exp(eta - log_sum), np.exp(-d / 2 - log_sum), log_sum

    def sums(self, counts: Floats, d: Floats, eta: Floats) -> Sums:
        """Return the log-likelihood; an exponential family, so that the curvature is a covariance."""
        wins, ties, losses = counts[:, 0], counts[:, 1], counts[:, 2]
        n = wins + ties + losses
        win, tie, loss, log_sum = self._probabilities(d, eta[:, None])
        lead = (wins - losses) / 2
        mean = (win - loss) / 2
        objective = (lead * d + ties * eta[:, None] - n * log_sum).sum(axis=1)
        return Sums(
            objective,
            lead - n * mean,
            n * ((win + loss) / 4 - mean**2),
            (ties - n * tie).sum(axis=1),
            -n * tie * mean,
            (n * tie * (1 - tie)).sum(axis=1),
        )

    def scores(self, d: Floats, eta: float) -> tuple[Floats, Floats]:
        """Return each outcome's statistic minus its mean."""
        win, tie, loss, _ = self._probabilities(d, np.full_like(d, eta))
        lead = np.array([[0.5], [0.0], [-0.5]])
        tied = np.array([[0.0], [1.0], [0.0]])
        return lead - (win - loss) / 2, tied - tie

    def expected(self, d: Floats, eta: Floats) -> Floats:
        """Return the probability of a win, plus half that of a tie."""
        win, tie, _, _ = self._probabilities(d, eta)
        return win + tie / 2


class RaoKupper:
    """Rao and Kupper (1967): a win is e^d : e^d + kappa, a loss 1 : 1 + kappa e^d, eta = log kappa > 0."""

    parameters = 1

    def start(self, tie_share: float) -> float:
        """Return the eta that a share of ties between equals implies."""
        return float(np.log1p(tie_share) - np.log1p(-tie_share))

    def sums(self, counts: Floats, d: Floats, eta: Floats) -> Sums:
        """Return the log-likelihood, from P(tie) = (kappa^2 - 1) P(win) P(loss); -inf where eta <= 0."""
        ties = counts[:, 1]
        ahead, behind = counts[:, 0] + ties, counts[:, 2] + ties
        above = np.where(eta > 0, eta, 1.0)
        not_win, not_loss = expit(above[:, None] - d), expit(above[:, None] + d)
        tied, grown = ties.sum(axis=1), np.expm1(2 * above)
        objective = (
            -(ahead * np.logaddexp(0, above[:, None] - d)).sum(axis=1)
            - (behind * np.logaddexp(0, above[:, None] + d)).sum(axis=1)
            + tied * np.log(grown)
        )
        bend_win, bend_loss = ahead * not_win * (1 - not_win), behind * not_loss * (1 - not_loss)
        return Sums(
            np.where(eta > 0, objective, -np.inf),
            ahead * not_win - behind * not_loss,
            bend_win + bend_loss,
            -(ahead * not_win + behind * not_loss).sum(axis=1) + tied * 2 * (grown + 1) / grown,
            bend_loss - bend_win,
            (bend_win + bend_loss).sum(axis=1) + tied * 4 * (grown + 1) / grown**2,
        )

    def scores(self, d: Floats, eta: float) -> tuple[Floats, Floats]:
        """Return the derivatives of the three log-probabilities."""
        not_win, not_loss = expit(eta - d), expit(eta + d)
        gain = 2 * np.exp(2 * eta) / np.expm1(2 * eta)
        by_d = np.stack([not_win, not_win - not_loss, -not_loss])
        return by_d, np.stack([-not_win, gain - not_win - not_loss, -not_loss])

    def expected(self, d: Floats, eta: Floats) -> Floats:
        """Return the probability of a win, plus half that of a tie."""
        return np.asarray((1 + expit(d - eta) - expit(-d - eta)) / 2)


TIE_MODELS: dict[str, TieModel] = {"half": HalfWins(), "davidson": Davidson(), "rao-kupper": RaoKupper()}
