import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.statistics.elo import elo
from rewards.errors import ConfigError

EVALICA = Path(__file__).parents[3] / ".." / "shared" / "data" / "evalica"
GAMES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=20
)


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((EVALICA / name).read_text(encoding="utf-8").splitlines()))


def test_three_games_by_hand():
    # a beats b: 0.5 expected, so 16 points. a beats b again: expected 1 / (1 + 10^(-32/400)) = 0.545922.
    # Then b and c draw: b has 1000 - 16 - 14.5305 = 969.4695, expected 0.456156, so b gains 1.4030.
    found = elo(["a", "a", "b"], ["b", "b", "c"], [1, 1, 0.5], k=32, permutations=0)
    assert found.systems == ("a", "b", "c")
    assert found.ratings == pytest.approx([1030.5305, 970.8725, 998.5970], abs=1e-3)
    assert np.isnan([*found.mean, *found.low, *found.high]).all()


@pytest.mark.parametrize("name", ["simple", "food"])
def test_evalica_golden_ratings(name):
    if not EVALICA.exists():
        pytest.skip("needs ../shared/data/evalica")
    rows = table(f"{name}.csv")
    outcomes = {"left": 1.0, "right": 0.0, "tie": 0.5}
    golden = {
        row["item"]: float(row["score"]) for row in table(f"{name}-golden.csv") if row["algorithm"] == "elo"
    }
    found = elo(
        [row["left"] for row in rows],
        [row["right"] for row in rows],
        [outcomes[row["winner"]] for row in rows],
        k=4,
        permutations=0,
    )
    assert found.ratings == pytest.approx([golden[item] for item in found.systems], rel=1e-9)


@given(GAMES)
def test_points_are_neither_made_nor_lost_and_sides_do_not_matter(games):
    first = [a for a, _, _ in games]
    second = [(a + b) % 4 for a, b, _ in games]
    outcome = np.array([y for _, _, y in games])
    found = elo(first, second, outcome, permutations=3)
    assert found.ratings.mean() == pytest.approx(1000)
    assert found.mean.mean() == pytest.approx(1000)
    swapped = elo(second, first, 1 - outcome, permutations=3)
    np.testing.assert_allclose(swapped.ratings, found.ratings)
    np.testing.assert_allclose(swapped.mean, found.mean)
    scaled = elo(first, second, outcome, k=4 * 2.5, initial=0, scale=400 * 2.5, permutations=0)
    np.testing.assert_allclose(scaled.ratings, (found.ratings - 1000) * 2.5, atol=1e-9)


def test_order_matters_and_the_mean_over_orders_does_not_follow_it():
    # a wins 20 and loses 20 against b: whoever wins last is ahead.
    first, second = ["a"] * 40, ["b"] * 40
    outcome = np.repeat([0.0, 1.0], 20)
    found = elo(first, second, outcome, k=32, permutations=400)
    assert found.ratings[0] > 1100
    assert elo(first, second, outcome[::-1], k=32, permutations=0).ratings[0] < 900
    assert found.mean[0] == pytest.approx(1000, abs=10)
    assert found.low[0] < 980 < 1020 < found.high[0]
    np.testing.assert_array_equal(elo(first, second, outcome, k=32, permutations=400).mean, found.mean)
    other = elo(first, second, outcome, k=32, permutations=400, seed=1)
    assert (other.mean != found.mean).all()


def test_missing_games_are_left_out_and_counted():
    found = elo(["a", "a"], ["b", "b"], [1, math.nan], k=32, permutations=2)
    assert (found.n, found.missing) == (1, 1)
    assert found.ratings == pytest.approx([1016, 984])
    assert found.mean == pytest.approx([1016, 984])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0.0}, "k is above 0"),
        ({"scale": -1.0}, "scale is above 0"),
        ({"initial": math.nan}, "initial"),
        ({"permutations": -1}, "permutations"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ConfigError, match=words):
        elo(["a"], ["b"], [1], **options)
