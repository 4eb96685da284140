"""Maximum likelihood of paired comparisons: Newton's method on many samples at once, sandwich, bootstrap."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from judges.statistics.identification import is_identified
from judges.statistics.pair_sums import Floats, PairSums
from judges.statistics.ties import Sums, TieModel

ITERATIONS = 100
HALVINGS = 40
STEP = 1e-6
"""The largest Newton step that ends the search; after it the error is of the order of its square."""
BLOCK = 2_000_000
"""Numbers held at once in one array, to bound the memory."""


class Likelihood(NamedTuple):
    """The likelihood: the pairs compared, the tie model, and the prior's precision (0: none)."""

    pairs: PairSums
    model: TieModel
    precision: float

    def incidence(self) -> sparse.csr_array:
        """Return +1 at each pair's lower and -1 at its upper system: [systems, P]."""
        pair = np.arange(len(self.pairs.lower))
        place = np.concatenate([self.pairs.lower, self.pairs.upper])
        signs = np.repeat([1.0, -1.0], len(pair))
        shape = (self.pairs.systems, len(pair))
        return sparse.coo_array((signs, (place, np.tile(pair, 2))), shape=shape).tocsr()

    def sums(self, counts: Floats, values: Floats) -> Sums:
        """Return log-likelihood minus penalty, with derivatives by d, at values [b, systems + parameters]."""
        systems = self.pairs.systems
        d = values[:, self.pairs.lower] - values[:, self.pairs.upper]
        eta = values[:, systems] if self.model.parameters else np.zeros(len(values))
        sums = self.model.sums(counts, d, eta)
        penalty = self.precision / 2 * np.square(values[:, :systems]).sum(axis=1)
        return sums._replace(objective=sums.objective - penalty)


def maximise(likelihood: Likelihood, counts: Floats, start: Floats) -> Floats:
    """Return the maximising values [b, systems + tie parameters] for counts [b, m, P]; strengths have mean 0.

    Args:
        likelihood: The likelihood; each set of counts must identify it.
        counts: Outcomes of each kind and pair.
        start: Values to begin at, [systems + tie parameters].

    Returns:
        The values; NaN in the rows that did not converge.
    """
    incidence = likelihood.incidence()
    values = np.tile(start, (len(counts), 1))
    sums = likelihood.sums(counts, values)
    for _ in range(ITERATIONS):
        step = np.linalg.solve(
            information(likelihood, sums, incidence),
            _gradient(likelihood, sums, values, incidence)[:, :, None],
        )[:, :, 0]
        proposed = likelihood.sums(counts, values + step)
        for _ in range(HALVINGS):
            worse = ~(proposed.objective >= sums.objective - 1e-9 * (1 + np.abs(sums.objective)))
            if not worse.any():
                break
            step[worse] /= 2
            proposed = likelihood.sums(counts, values + step)
        values, sums = values + step, proposed
        largest = np.abs(step).max(axis=1)
        if (largest < STEP).all():
            return values
    values[largest >= STEP] = np.nan
    return values


def _gradient(likelihood: Likelihood, sums: Sums, values: Floats, incidence: sparse.csr_array) -> Floats:
    gradient = np.zeros_like(values)
    systems = likelihood.pairs.systems
    gradient[:, :systems] = (incidence @ sums.slope.T).T - likelihood.precision * values[:, :systems]
    if likelihood.model.parameters:
        gradient[:, systems] = sums.tie_slope
    return gradient


def information(likelihood: Likelihood, sums: Sums, incidence: sparse.csr_array) -> Floats:
    """Return the curvature [b, k, k], k = systems + tie parameters, made regular along equal strengths."""
    pairs, systems = likelihood.pairs, likelihood.pairs.systems
    matrix = np.zeros((len(sums.curvature), *[systems + likelihood.model.parameters] * 2))
    matrix[:, pairs.lower, pairs.upper] = matrix[:, pairs.upper, pairs.lower] = -sums.curvature
    diagonal = (abs(incidence) @ sums.curvature.T).T
    place = np.arange(systems)
    matrix[:, place, place] = diagonal + likelihood.precision
    # The likelihood says nothing of the strengths' sum and gradients have none: any weight on it will do.
    matrix[:, :systems, :systems] += diagonal.mean(axis=1)[:, None, None] / systems
    if likelihood.model.parameters:
        cross = (incidence @ sums.cross.T).T
        matrix[:, :systems, systems] = matrix[:, systems, :systems] = cross
        matrix[:, systems, systems] = sums.tie_curvature
    return matrix


def sandwich(likelihood: Likelihood, values: Floats) -> Floats:
    """Return the covariance [k, k] of values [k], robust to whatever verdicts on one prompt share.

    It is A^-1 B A^-1 with A the information and B the sum over prompts of their scores' outer products,
    times G / (G - 1) for G prompts (Liang and Zeger 1986). All NaN where there is but one prompt.
    """
    pairs, systems = likelihood.pairs, likelihood.pairs.systems
    if pairs.prompts < 2:
        return np.full((len(values), len(values)), np.nan)
    d = values[pairs.lower] - values[pairs.upper]
    by_d, by_eta = likelihood.model.scores(d, values[systems] if likelihood.model.parameters else 0.0)
    parts = [sparse.diags_array(kind) @ likelihood.incidence().T for kind in by_d]
    scores = sparse.vstack(parts, format="csr")
    if likelihood.model.parameters:
        scores = sparse.hstack([scores, sparse.csr_array(by_eta.reshape(-1, 1))], format="csr")
    meat = np.zeros((len(values), len(values)))
    block = max(1, BLOCK // len(values))
    for start in range(0, len(pairs.multiplicity), block):
        by_prompt = (pairs.by_prompt[start : start + block] @ scores).toarray()
        meat += by_prompt.T @ (by_prompt * pairs.multiplicity[start : start + block, None])
    sums = likelihood.sums(pairs.totals[None], values[None])
    bread = np.linalg.inv(information(likelihood, sums, likelihood.incidence())[0])
    return bread @ meat @ bread * (pairs.prompts / (pairs.prompts - 1))


def bootstrap(likelihood: Likelihood, values: Floats, resamples: int, seed: int) -> Floats:
    """Return the values [resamples, k] fitted to prompts drawn with replacement.

    A row is NaN where the prompts drawn do not identify the values.
    """
    pairs, model = likelihood.pairs, likelihood.model
    generator = np.random.default_rng(seed)
    shares = pairs.multiplicity / pairs.prompts
    by_pair = pairs.by_prompt.T.tocsr()
    block = max(1, BLOCK // max(len(shares), by_pair.shape[0], len(values) ** 2))
    estimates = np.full((resamples, len(values)), np.nan)
    identified: dict[bytes, bool] = {}
    for start in range(0, resamples, block):
        drawn = generator.multinomial(pairs.prompts, shares, min(block, resamples - start))
        sums = by_pair @ drawn.T.astype(np.float64)
        counts = np.ascontiguousarray(sums.T).reshape(-1, *pairs.totals.shape)
        # Only which counts are above 0 matters, in which most samples are alike.
        graphs = [row.tobytes() for row in np.packbits((counts > 0).reshape(len(counts), -1), axis=1)]
        for graph, one in zip(graphs, counts, strict=True):
            if graph not in identified:
                identified[graph] = is_identified(pairs, one, likelihood.precision > 0, model.parameters > 0)
        usable = np.flatnonzero([identified[graph] for graph in graphs])
        if len(usable):
            estimates[start + usable] = maximise(likelihood, counts[usable], values)
    return estimates
