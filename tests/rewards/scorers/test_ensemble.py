from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, ScoringError, SpecError
from rewards.records import Generation, Score
from rewards.scorer import load_scorer
from rewards.scorers.ensemble import Ensemble
from rewards.scorers.rules import Column, Constant, Length

ROW = Generation("p", "abcd", extra={"a": 1.0, "b": 2.0, "c": 6.0})


def value(spec: str) -> float:
    return load_scorer(spec).score([ROW])[0].value


@dataclass(frozen=True)
class Steps:
    """A process scorer whose steps have these scores."""

    steps: tuple[float, ...]

    def score(self, generations: list[Generation]) -> list[Score]:
        return [Score(min(self.steps), self.steps) for _ in generations]


def columns(values: list[float]) -> tuple[tuple[Column, ...], Generation]:
    names = [f"m{place}" for place in range(len(values))]
    return tuple(map(Column, names)), Generation("p", "r", extra=dict(zip(names, values, strict=True)))


def test_each_combination_by_hand():
    members = "column:a,column:b,column:c"
    assert value(f"ensemble:{members}") == 3
    assert value(f"ensemble:{members}?combine=worst") == 1
    assert value(f"ensemble:{members}?combine=sum") == 9
    assert value(f"ensemble:{members}?combine=sum&weights=2,0,-0.5") == -1


def test_uwo_takes_the_population_variance():
    # Of 1, 2, 6: mean 3, squared deviations 4 + 1 + 9; 14/3 with ddof 0, and 7 with ddof 1.
    assert value("ensemble:column:a,column:b,column:c?combine=uwo") == pytest.approx(3 - 0.5 * 14 / 3)
    assert value("ensemble:column:a,column:b,column:c?combine=uwo&lambda=0.1") == pytest.approx(3 - 1.4 / 3)
    # Of 1, 2: variance 1/4 with ddof 0, and 1/2 with ddof 1.
    assert value("ensemble:column:a,column:b?combine=uwo&lambda=1") == pytest.approx(1.25)


def test_one_member_has_no_variance():
    assert value("ensemble:column:c?combine=uwo&lambda=5") == 6


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.floats(0, 10))
def test_combinations_agree_with_numpy_and_keep_their_order(numbers: list[float], penalty: float):
    members, row = columns(numbers)

    def combined(**settings: object) -> float:
        return Ensemble(members, **settings).score([row])[0].value  # type: ignore[arg-type]  # tested settings

    mean, worst = combined(), combined(combine="worst")
    uwo = combined(combine="uwo", penalty=penalty)
    assert mean == pytest.approx(np.mean(numbers), rel=1e-12, abs=1e-9)
    assert worst == min(numbers)
    assert uwo == pytest.approx(np.mean(numbers) - penalty * np.var(numbers), rel=1e-9, abs=1e-6)
    assert combined(combine="uwo", penalty=0.0) == mean
    assert worst <= mean + 1e-9 * (1 + abs(mean))
    assert uwo <= mean
    weights = tuple(1 / len(numbers) for _ in numbers)
    assert combined(combine="sum", weights=weights) == pytest.approx(mean, rel=1e-9, abs=1e-6)


def test_aspects_hold_what_each_member_gave_and_repetitions_are_numbered():
    (score,) = load_scorer("ensemble:column:a,rule:length,column:a").score([ROW])
    assert score.aspects == {"column:a": 1, "rule:length": 4, "column:a (2)": 1}
    assert Ensemble((Length(),)).score([ROW])[0].aspects == {"member 1": 4}


def test_steps_are_combined_step_by_step_where_every_member_has_them():
    ensemble = Ensemble((Steps((1.0, 4.0)), Steps((3.0, 2.0))), "worst")
    (score,) = ensemble.score([ROW])
    assert (score.value, score.steps) == (1, (1, 2))
    assert Ensemble((Steps((1.0, 4.0)), Length())).score([ROW])[0].steps == ()
    with pytest.raises(ScoringError, match=r"'p'.*different numbers of steps: \[2, 1\]"):
        Ensemble((Steps((1.0, 4.0)), Steps((3.0,)))).score([ROW])


def test_members_with_reserved_characters_are_percent_encoded():
    assert value("ensemble:rule:length,rule:constant%3Fvalue=10") == 7
    assert value("ensemble:" + quote("rule:pattern?pattern=[a-d]{1,2}&count=true")) == 2


def test_an_ensemble_may_be_a_member():
    inner = "ensemble:rule:length,rule:constant%3Fvalue=1?combine=worst"
    assert value(f"ensemble:column:b,{quote(inner)}?combine=sum") == 3
    outer = f"ensemble:column:b,{quote(inner)}?combine=sum"
    assert value(f"ensemble:{quote(outer)},column:a") == 2


def test_rows_keep_their_order():
    rows = [Generation("p", "x" * length) for length in (3, 1, 2)]
    ensemble = Ensemble((Length(), Constant(1.0)), "sum")
    assert [score.value for score in ensemble.score(rows)] == [4, 2, 3]
    assert ensemble.score([]) == []


def test_a_members_missing_score_is_not_passed_over():
    with pytest.raises(ScoringError, match="column 'z'"):
        value("ensemble:column:a,column:z")


def test_an_infinite_score_is_refused_with_member_and_row():
    @dataclass(frozen=True)
    class Infinite:
        def score(self, generations: list[Generation]) -> list[Score]:
            return [Score(float("inf")) for _ in generations]

    with pytest.raises(ScoringError, match=r"prompt 'p': member 2 gave an infinite score"):
        Ensemble((Length(), Infinite())).score([ROW])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ensemble:", "name the members"),
        ("ensemble:column:a,,column:b", "name the members"),
        ("ensemble:column:a?combine=median", "combine is mean, worst, uwo, sum, got 'median'"),
        ("ensemble:column:a?lambda=1", "lambda is for combine=uwo"),
        ("ensemble:column:a?combine=uwo&lambda=-1", "0 or more"),
        ("ensemble:column:a?combine=uwo&weights=1", "weights is for combine=sum"),
        ("ensemble:column:a,column:b?combine=sum&weights=1", "2 members need as many weights, got 1"),
        ("ensemble:column:a?combine=sum&weights=one", "numbers with commas"),
        ("ensemble:column:a?combine=sum&weights=nan", "finite"),
        ("ensemble:rule:length?weight=-1,rule:random", "percent-encoded"),
        ("ensemble:rule:lenght", "unknown rule 'lenght'"),
    ],
)
def test_a_wrong_specification_is_refused(spec: str, message: str):
    with pytest.raises(SpecError) as error:
        load_scorer(spec)
    assert message in str(error.value)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="needs a member"):
        Ensemble(())
    with pytest.raises(ConfigError, match="differ from each other"):
        Ensemble((Length(), Length()), names=("a", "a"))
