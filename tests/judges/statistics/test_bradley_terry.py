import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from judges.statistics.bradley_terry import BradleyTerry, NotIdentifiedError, bradley_terry
from judges.statistics.ties import TIE_MODELS
from rewards.errors import ConfigError, EvalkitError

EVALICA = Path(__file__).parents[3] / ".." / "shared" / "data" / "evalica"
OUTCOMES = {"left": 1.0, "right": 0.0, "tie": 0.5}


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((EVALICA / name).read_text(encoding="utf-8").splitlines()))


def repeated(rows: list[tuple[str, str, float, int]]) -> tuple[list[str], list[str], list[float]]:
    """Expand (first, second, outcome, how often)."""
    flat = [row[:3] for row in rows for _ in range(row[3])]
    first, second, outcome = zip(*flat, strict=True)
    return list(first), list(second), list(outcome)


@st.composite
def identified(draw: st.DrawFn, values: tuple[float, ...] = (0.0, 0.5, 1.0)):
    """Rows between 2 to 5 systems, with a circle of wins so that the strengths are identified."""
    count = draw(st.integers(2, 5))
    pair = st.tuples(st.integers(0, count - 1), st.integers(1, count - 1), st.sampled_from(values))
    rows = draw(st.lists(pair, max_size=30))
    first = [*range(count), *(a for a, _, _ in rows)]
    second = [*((k + 1) % count for k in range(count)), *((a + b) % count for a, b, _ in rows)]
    outcome = [*[1.0] * count, *(y for _, _, y in rows)]
    prompts = draw(st.lists(st.integers(0, 6), min_size=len(first), max_size=len(first)))
    return np.array(first), np.array(second), np.array(outcome), np.array(prompts)


def simulated(rng: np.random.Generator, strengths: np.ndarray, n: int, nu: float = 0.0):
    """Davidson's model; without nu there are no ties."""
    first = rng.integers(0, len(strengths), n)
    second = (first + rng.integers(1, len(strengths), n)) % len(strengths)
    d = strengths[first] - strengths[second]
    total = np.exp(d / 2) + np.exp(-d / 2) + nu
    u = rng.random(n) * total
    outcome = np.where(u < np.exp(d / 2), 1.0, np.where(u < np.exp(d / 2) + nu, 0.5, 0.0))
    return first, second, outcome


@pytest.mark.parametrize("name", ["simple", "food"])
def test_evalica_golden_ratings(name):
    if not EVALICA.exists():
        pytest.skip("needs ../shared/data/evalica")
    rows = table(f"{name}.csv")
    golden = {
        row["item"]: float(row["score"])
        for row in table(f"{name}-golden.csv")
        if row["algorithm"] == "bradley_terry"
    }
    found = bradley_terry(
        [row["left"] for row in rows],
        [row["right"] for row in rows],
        [OUTCOMES[row["winner"]] for row in rows],
        resamples=0,
    )
    ratings = np.exp(found.strengths) / np.exp(found.strengths).sum()
    assert found.systems == tuple(sorted(golden))
    np.testing.assert_allclose(ratings, [golden[item] for item in found.systems], rtol=3e-7)


def test_wikipedia_example():
    wins = {"AB": 2, "AD": 1, "BA": 3, "BC": 5, "CB": 3, "CD": 1, "DA": 4, "DC": 3}
    found = bradley_terry(*repeated([(a, b, 1.0, n) for (a, b), n in wins.items()]), resamples=0)
    np.testing.assert_allclose(np.exp(found.strengths), [0.640, 1.043, 0.660, 2.270], atol=5e-4)


def test_evalica_itself():
    evalica = pytest.importorskip("evalica")
    first, second, outcome = simulated(np.random.default_rng(3), np.linspace(-1, 1, 6), 2000, nu=0.5)
    winner = {1.0: evalica.Winner.X, 0.5: evalica.Winner.Draw, 0.0: evalica.Winner.Y}
    theirs = evalica.bradley_terry(
        [str(k) for k in first], [str(k) for k in second], [winner[y] for y in outcome]
    ).scores
    ours = bradley_terry([str(k) for k in first], [str(k) for k in second], outcome, resamples=0)
    logs = np.log([theirs[name] for name in ours.systems])
    np.testing.assert_allclose(ours.strengths, logs - logs.mean(), atol=1e-4)


def test_two_systems_by_hand():
    # 30 wins, 10 ties, 20 losses: 35 half-credited wins of 60.
    found = bradley_terry(*repeated([("a", "b", 1, 30), ("b", "a", 0.5, 10), ("b", "a", 1, 20)]), resamples=0)
    p = 35 / 60
    difference = found.difference("a", "b")
    assert difference.value == pytest.approx(math.log(35 / 25))
    squares = 30 * (1 - p) ** 2 + 10 * (0.5 - p) ** 2 + 20 * p**2
    error = math.sqrt(squares * 60 / 59) / (60 * p * (1 - p))
    assert difference.standard_error == pytest.approx(error)
    assert found.standard_errors == pytest.approx([error / 2, error / 2])
    assert found.win_probability("a", "b").value == pytest.approx(p)
    # The delta method: dp = p (1 - p) dd, so this is the win rate's standard error.
    assert found.win_probability("a", "b").standard_error == pytest.approx(math.sqrt(squares / 59 / 60))
    assert found.win_probability("b", "a").value == pytest.approx(1 - p)
    assert (found.n, found.missing, found.prompts) == (60, 0, 60)


def test_clustered_errors_by_hand():
    # Prompts 1, 2: a wins both orders; prompt 3: b wins both; p = 2/3, a prompt's score is 2/3 or -4/3.
    found = bradley_terry(["a", "b"] * 3, ["b", "a"] * 3, [1, 0, 1, 0, 0, 1], [1, 1, 2, 2, 3, 3], resamples=0)
    meat = 2 * (2 / 3) ** 2 + (4 / 3) ** 2
    expected = math.sqrt(meat * 3 / 2) / (6 * 2 / 9)
    assert found.difference("a", "b").standard_error == pytest.approx(expected)
    assert found.prompts == 3


def test_statsmodels_logistic_regression_with_clustered_errors():
    regression = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(5)
    first, second, outcome = simulated(rng, np.linspace(-1, 1, 5), 600)
    prompts = rng.integers(0, 80, 600)
    sides = np.zeros((600, 5))
    sides[np.arange(600), first], sides[np.arange(600), second] = 1, -1
    model = regression.GLM(outcome, sides[:, 1:], family=regression.families.Binomial())
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": prompts, "use_correction": False}, tol=1e-12)
    ours = bradley_terry(first, second, outcome, prompts, resamples=0)
    np.testing.assert_allclose(ours.strengths[1:] - ours.strengths[0], theirs.params, atol=1e-8)
    count = len(np.unique(prompts))
    errors = [ours.difference(k, 0).standard_error for k in range(1, 5)]
    np.testing.assert_allclose(errors, theirs.bse * math.sqrt(count / (count - 1)), rtol=1e-6)


@given(identified())
@settings(max_examples=60, deadline=None)
def test_expected_wins_are_observed_wins(rows):
    first, second, outcome, _ = rows
    found = bradley_terry(first, second, outcome, resamples=0)
    surplus = outcome - expit(found.strengths[first] - found.strengths[second])
    gradient = np.bincount(first, weights=surplus) - np.bincount(second, weights=surplus)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)
    assert found.strengths.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(
        found.covariance.sum(axis=0), 0, atol=1e-6 * (1 + np.abs(found.covariance).max())
    )


@given(identified(), st.sampled_from(["half", "davidson", "rao-kupper"]))
@settings(max_examples=30, deadline=None)
def test_exchanging_the_sides_changes_nothing(rows, ties):
    first, second, outcome, prompts = rows
    first, second = np.append(first, [0, 0]), np.append(second, [1, 1])
    outcome, prompts = np.append(outcome, [0.5, 0.0]), np.append(prompts, [0, 1])
    try:
        one = bradley_terry(first, second, outcome, prompts, resamples=20, ties=ties)
    except NotIdentifiedError:
        with pytest.raises(NotIdentifiedError):
            bradley_terry(second, first, 1 - outcome, prompts, resamples=20, ties=ties)
        return
    other = bradley_terry(second, first, 1 - outcome, prompts, resamples=20, ties=ties)
    for name in ("strengths", "standard_errors", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9)


@given(identified(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_names_and_order_of_rows_do_not_matter(rows, random):
    first, second, outcome, prompts = rows
    found = bradley_terry(first, second, outcome, prompts, resamples=20)
    order = list(range(len(first)))
    random.shuffle(order)
    shuffled = bradley_terry(first[order], second[order], outcome[order], prompts[order], resamples=20)
    np.testing.assert_array_equal(shuffled.low, found.low)
    names = np.array([f"s{9 - k}" for k in range(10)])
    renamed = bradley_terry(names[first], names[second], outcome, prompts, resamples=0)
    np.testing.assert_allclose(renamed.strengths[::-1], found.strengths, atol=1e-9)
    np.testing.assert_allclose(renamed.standard_errors[::-1], found.standard_errors, atol=1e-7)


def test_order_of_rows_and_names_of_prompts_do_not_matter_to_probabilities():
    generator = np.random.default_rng(0)
    first = generator.integers(0, 4, 120)
    second = (first + generator.integers(1, 4, 120)) % 4
    outcome, prompts, order = generator.random(120), np.arange(120) // 2, generator.permutation(120)
    alone = bradley_terry(first, second, outcome, resamples=50)
    shuffled = bradley_terry(first[order], second[order], outcome[order], resamples=50)
    np.testing.assert_allclose(shuffled.low, alone.low, atol=1e-9)
    shared = bradley_terry(first, second, outcome, prompts, resamples=50)
    renamed = bradley_terry(first, second, outcome, 60.5 - prompts, resamples=50)
    np.testing.assert_allclose(renamed.low, shared.low, atol=1e-9)
    assert np.abs(shared.low - alone.low).max() > 1e-6


@given(identified())
@settings(max_examples=30, deadline=None)
def test_duplicated_rows_move_neither_strengths_nor_clustered_errors(rows):
    first, second, outcome, prompts = rows
    once = bradley_terry(first, second, outcome, prompts, resamples=0)
    twice = bradley_terry(*(np.tile(column, 2) for column in rows), resamples=0)
    np.testing.assert_allclose(twice.strengths, once.strengths, atol=1e-8)
    np.testing.assert_allclose(twice.covariance, once.covariance, atol=1e-8)
    by_row = bradley_terry(first, second, outcome, resamples=0)
    one_each = bradley_terry(first, second, outcome, [f"p{k}" for k in range(len(first))], resamples=0)
    np.testing.assert_allclose(one_each.covariance, by_row.covariance, atol=1e-12)


def test_prompts_that_are_alike_are_summed_as_if_they_were_not():
    rng = np.random.default_rng(8)
    first, second, outcome = simulated(rng, np.array([0.0, 0.4, 0.1]), 400, nu=0.6)
    prompts = rng.integers(0, 150, 400)
    merged = bradley_terry(first, second, outcome, prompts, resamples=0)
    # A hair off one half, outcomes are probabilities, of which no two prompts are merged.
    apart = bradley_terry(first, second, outcome * (1 - 1e-13), prompts, resamples=0)
    np.testing.assert_allclose(merged.covariance, apart.covariance, rtol=1e-6)


def test_the_bootstrap_agrees_with_the_sandwich_and_refits():
    rng = np.random.default_rng(1)
    first, second, outcome = simulated(rng, np.linspace(-1, 1, 4), 1200)
    prompts = np.repeat(np.arange(300), 4)
    found = bradley_terry(first, second, outcome, prompts, resamples=800)
    assert found.unidentified == 0
    np.testing.assert_allclose(found.resampled.std(axis=0), found.standard_errors, rtol=0.12)
    np.testing.assert_allclose((found.high - found.low) / 3.92, found.standard_errors, rtol=0.15)
    difference = found.difference(3, 0)
    assert difference.low < 2 < difference.high
    chance = found.win_probability(3, 0)
    # A monotone function of the difference has the function's ends.
    assert (chance.low, chance.high) == pytest.approx((expit(difference.low), expit(difference.high)))
    again = bradley_terry(first, second, outcome, prompts, resamples=800)
    np.testing.assert_array_equal(again.resampled, found.resampled)
    assert (bradley_terry(first, second, outcome, prompts, resamples=800, seed=1).low != found.low).all()


def test_a_resample_of_two_prompts_is_one_of_three_fits():
    # Prompt 1: a wins 2 of 3; prompt 2: a wins 1 of 4. Drawn twice, once each, or not at all.
    rows = repeated([("a", "b", 1, 2), ("a", "b", 0, 1), ("a", "b", 1, 1), ("a", "b", 0, 3)])
    found = bradley_terry(*rows, [1] * 3 + [2] * 4, resamples=200)
    possible = np.array([logit(2 / 3), logit(3 / 7), logit(1 / 4)])
    differences = found.resampled[:, 0] - found.resampled[:, 1]
    which = np.abs(differences[:, None] - possible).argmin(axis=1)
    np.testing.assert_allclose(differences, possible[which], atol=1e-9)
    np.testing.assert_allclose(np.bincount(which) / 200, [0.25, 0.5, 0.25], atol=0.12)


def test_samples_that_identify_nothing_widen_the_interval_to_infinity():
    rows = repeated([("a", "b", 1, 8), ("a", "b", 0, 1)])
    found = bradley_terry(*rows, resamples=500)
    # No loss among nine draws: (8/9)^9 = 0.346.
    assert found.unidentified / 500 == pytest.approx(0.346, abs=0.07)
    assert found.difference("a", "b")[2:] == (-math.inf, math.inf)
    many = bradley_terry(*repeated([("a", "b", 1, 80), ("a", "b", 0, 10)]), resamples=500)
    assert many.unidentified <= 1
    assert np.isfinite([*many.low, *many.high]).all()


def test_no_interval_where_prompts_do_not_differ_or_there_is_one():
    alike = bradley_terry(["a", "b"] * 5, ["b", "a"] * 5, [1, 1] * 5, np.repeat(range(5), 2), resamples=50)
    assert np.isnan([*alike.low, *alike.high]).all()
    assert alike.standard_errors == pytest.approx([0, 0])
    for resamples in (0, 50):
        one = bradley_terry(["a", "a"], ["b", "b"], [1, 0], ["p", "p"], resamples=resamples)
        assert np.isnan([*one.standard_errors, *one.low, *one.high, *one.difference("a", "b")[1:]]).all()


@pytest.mark.parametrize("name", sorted(TIE_MODELS))
def test_derivatives_of_the_tie_models(name):
    rng = np.random.default_rng(4)
    model = TIE_MODELS[name]
    kinds = 2 + model.parameters
    counts, d, eta = rng.integers(1, 9, (1, kinds, 3)).astype(float), rng.normal(size=(1, 3)), np.array([0.4])
    sums, step = model.sums(counts, d, eta), 1e-5
    total = 0.0
    for pair in range(3):
        up, down = d + step * (np.arange(3) == pair), d - step * (np.arange(3) == pair)
        above, below = model.sums(counts, up, eta), model.sums(counts, down, eta)
        slope = (above.objective - below.objective)[0] / (2 * step)
        assert slope == pytest.approx(sums.slope[0, pair], rel=1e-5)
        bend = -(above.slope - below.slope)[0, pair] / (2 * step)
        assert bend == pytest.approx(sums.curvature[0, pair], rel=1e-5)
        cross = -(above.tie_slope - below.tie_slope)[0] / (2 * step)
        assert cross == pytest.approx(sums.cross[0, pair] if model.parameters else 0.0, rel=1e-5)
        total += counts[0, :, pair] @ model.scores(d[0], 0.4)[1][:, pair]
    scores, _ = model.scores(d[0], 0.4)
    np.testing.assert_allclose((counts[0] * scores).sum(axis=0), sums.slope[0])
    assert total == pytest.approx(sums.tie_slope[0])
    above, below = model.sums(counts, d, eta + step), model.sums(counts, d, eta - step)
    assert (above.objective - below.objective)[0] / (2 * step) == pytest.approx(sums.tie_slope[0], abs=1e-6)
    bend = -(above.tie_slope - below.tie_slope)[0] / (2 * step)
    assert bend == pytest.approx(sums.tie_curvature[0], rel=1e-5, abs=1e-9)


def log_likelihood(name: str, values: np.ndarray, rows) -> float:
    """From the definitions: strengths, then log nu or log kappa."""
    first, second, outcome = rows
    a, b, extra = np.exp(values[:-1])[first], np.exp(values[:-1])[second], np.exp(values[-1])
    if name == "davidson":
        win, tie = a, extra * np.sqrt(a * b)
        loss = b
        total = win + tie + loss
        win, tie, loss = win / total, tie / total, loss / total
    else:
        win, loss = a / (a + extra * b), b / (b + extra * a)
        tie = 1 - win - loss
    chosen = np.where(outcome == 1, win, np.where(outcome == 0.5, tie, loss))
    return float(np.log(np.maximum(chosen, 1e-300)).sum())


@pytest.mark.parametrize("name", ["davidson", "rao-kupper"])
def test_tie_models_against_a_general_optimiser(name):
    strengths = np.array([-0.5, 0.0, 0.2, 0.3])
    rows = simulated(np.random.default_rng(6), strengths, 500, nu=0.8)
    found = bradley_terry(*rows, resamples=100, ties=name)
    best = minimize(
        lambda values: -log_likelihood(name, np.append(values, 0)[[4, 0, 1, 2, 3]] * [0, 1, 1, 1, 1], rows),
        [0.1, 0.1, 0.1, 0.5],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 5000},
    ).x
    np.testing.assert_allclose(found.strengths - found.strengths[0], [0, *best[:3]], atol=1e-4)
    assert found.tie_parameter == pytest.approx(math.exp(best[3]), abs=1e-4)
    np.testing.assert_allclose(found.resampled[:, :4].std(axis=0), found.standard_errors, rtol=0.3)
    chance = found.win_probability(3, 0)
    assert chance.low < chance.value < chance.high
    assert chance.value == pytest.approx(1 - found.win_probability(0, 3).value)
    assert 0.02 < chance.standard_error < 0.08


def test_davidson_recovers_strengths_and_ties():
    strengths = np.array([-1.0, 0.2, 0.8])
    found = bradley_terry(
        *simulated(np.random.default_rng(9), strengths, 20000, nu=0.7), resamples=0, ties="davidson"
    )
    assert (np.abs(found.strengths - strengths) < 4 * found.standard_errors).all()
    assert found.tie_parameter == pytest.approx(0.7, abs=0.05)
    assert bradley_terry(["a", "b"], ["b", "a"], [1, 1], resamples=0).tie_parameter is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", "b", 1, 3), ("b", "c", 1, 2), ("c", "b", 1, 1)], "a never loses"),
        ([("a", "b", 1, 3), ("a", "c", 0.5, 2), ("c", "b", 1, 2)], "b never wins"),
        (
            [("a", "b", 1, 1), ("b", "a", 1, 1), ("c", "d", 0.5, 1)],
            "never compared with each other: a, b | c, d",
        ),
        (
            [("a", "b", 1, 1), ("b", "a", 1, 1), ("c", "d", 0.5, 1), ("a", "d", 1, 1)],
            "a, b never lose against the others; c, d never win against the others",
        ),
        (
            [("a", "b", 1, 1), ("b", "a", 1, 1), ("a", "c", math.nan, 1)],
            "never compared with each other: a, b | c",
        ),
        ([("a", "b", math.nan, 2)], "all 2 are missing"),
    ],
)
def test_what_is_not_identified_is_said_with_the_remedy(rows, words):
    with pytest.raises(NotIdentifiedError, match=words.replace("|", r"\|")) as error:
        bradley_terry(*repeated(rows))
    assert isinstance(error.value, EvalkitError)
    assert "\n" not in str(error.value)


def test_many_groups_are_named_in_part():
    first, second = [f"a{k}" for k in range(9)], [f"b{k}" for k in range(9)]
    with pytest.raises(NotIdentifiedError, match="and 4 more"):
        bradley_terry(first, second, [0.5] * 9)


@pytest.mark.parametrize("name", ["davidson", "rao-kupper"])
def test_tie_parameters_that_no_number_fits(name):
    circle = [("a", "b", 1, 1), ("b", "c", 1, 1), ("c", "a", 1, 1)]
    with pytest.raises(NotIdentifiedError, match="no verdict is a tie"):
        bradley_terry(*repeated(circle), ties=name)
    with pytest.raises(NotIdentifiedError, match="every verdict is a tie"):
        bradley_terry(*repeated([("a", "b", 0.5, 3)]), ties=name)
    # b never wins, so that wins and ties can both become certain; half wins are identified.
    with pytest.raises(NotIdentifiedError, match="use ties='half'"):
        bradley_terry(*repeated([("a", "b", 1, 2), ("a", "b", 0.5, 3)]), ties=name)
    # A tie across two steps of wins cannot.
    ladder = repeated([("a", "b", 1, 2), ("b", "c", 1, 2), ("a", "c", 0.5, 1)])
    found = bradley_terry(*ladder, resamples=0, ties=name)
    assert np.isfinite(found.strengths).all()
    with pytest.raises(ConfigError, match="probabilities go with ties='half'"):
        bradley_terry(["a", "b"], ["b", "a"], [0.7, 0.5], ties=name)


def test_a_prior_ranks_what_alone_would_not_be_identified():
    rows = repeated([("a", "b", 1, 5)])
    found = bradley_terry(*rows, prior=1.0)
    gap = found.difference("a", "b").value
    # Stationary: the strength gap / 2 over the variance is the surplus of wins.
    assert gap / 2 == pytest.approx(5 * (1 - expit(gap)))
    assert found.unidentified == 0
    wide = bradley_terry(*repeated([("a", "b", 1, 5), ("a", "b", 0, 2)]), prior=1e4, resamples=0)
    assert wide.difference("a", "b").value == pytest.approx(math.log(5 / 2), abs=1e-5)


def test_missing_verdicts_are_left_out_and_counted():
    rows = repeated([("a", "b", 1, 3), ("a", "b", 0, 2), ("a", "b", math.nan, 4)])
    found = bradley_terry(*rows, list(range(9)), resamples=0)
    assert (found.n, found.missing, found.prompts) == (5, 4, 5)
    assert found.difference("a", "b").value == pytest.approx(math.log(3 / 2))


def test_probabilities_count_as_parts_of_a_win():
    found = bradley_terry(["a", "a", "b"], ["b", "b", "a"], [0.9, 0.6, 0.3], resamples=50)
    assert found.win_probability("a", "b").value == pytest.approx((0.9 + 0.6 + 0.7) / 3)


def test_numbers_of_numpy_in_a_list_are_numbers():
    found = bradley_terry([np.int64(10), np.int64(9)], [np.int64(9), np.int64(10)], [1, 1], resamples=0)
    assert found.systems == (9, 10)
    assert all(type(system) is int for system in found.systems)


def test_systems_are_sorted_and_numbers_stay_numbers():
    found: BradleyTerry = bradley_terry(np.array([10, 9, 2]), [2, 10, 9], [1, 1, 1], resamples=0)
    assert found.systems == (2, 9, 10)
    assert all(type(system) is int for system in found.systems)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((["a"], ["a"], [1]), {}, "fewer|two systems"),
        ((["a", "a"], ["b", "a"], [1, 0]), {}, "row 1 compares 'a' with itself"),
        ((["a"], ["b"], [1.5]), {}, "between 0 and 1 or NaN, got 1.5 in row 0"),
        ((["a"], ["b", "c"], [1]), {}, "second has 2 entries"),
        ((["a", 1], ["b", "c"], [1, 1]), {}, "all by text or all by whole numbers, got 1"),
        ((["a"], ["b"], [1], [None]), {}, "prompts hold a missing label"),
        ((["a"], ["b"], [1]), {"level": 1.0}, "level"),
        ((["a"], ["b"], [1]), {"resamples": -1}, "resamples"),
        ((["a"], ["b"], [1]), {"seed": -1}, "seed"),
        ((["a"], ["b"], [1]), {"prior": 0.0}, "prior"),
        ((["a"], ["b"], [1]), {"ties": "drop"}, "half, davidson, rao-kupper"),
    ],
)
def test_bad_arguments(arguments, options, words):
    with pytest.raises(ConfigError, match=words):
        bradley_terry(*arguments, **options)


def test_an_unknown_system_is_named():
    found = bradley_terry(["a", "b"], ["b", "a"], [1, 1], resamples=0)
    with pytest.raises(ConfigError, match="'c' is none of the systems a, b"):
        found.difference("a", "c")
