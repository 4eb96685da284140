import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.statistics.planning import (
    Spread,
    half_width_of,
    measured_spread,
    power_of,
    prompts_for_half_width,
    prompts_for_power,
)
from judges.statistics.win_rate import win_rate
from rewards.errors import ConfigError

spreads = st.builds(
    Spread,
    st.one_of(st.none(), st.floats(0.05, 0.5)),
    st.floats(0, 1),
    st.integers(1, 8).map(float),
)


def test_textbook_numbers_for_independent_verdicts():
    # (1.959964 * 0.5 / 0.05)^2 = 384.15; ((1.959964 * 0.5 + 0.841621 * sqrt(0.24)) / 0.1)^2 = 193.85.
    assert prompts_for_half_width(0.05).prompts == 385
    assert prompts_for_power(0.6).prompts == 194
    assert prompts_for_power(0.4).prompts == 194
    assert prompts_for_half_width(0.05, Spread(sd=0.25)).prompts == 97  # a quarter of the variance


def test_verdicts_of_one_prompt_help_as_much_as_they_are_unrelated():
    alone = prompts_for_half_width(0.05).prompts
    assert prompts_for_half_width(0.05, Spread(correlation=1, verdicts=4)).prompts == alone
    unrelated = prompts_for_half_width(0.05, Spread(correlation=0, verdicts=4))
    assert unrelated.prompts == 97  # 384.15 / 4
    assert unrelated.verdicts == 388
    # Design effect 1 + 3 * 0.5 = 2.5: 384.15 * 2.5 / 4 = 240.09.
    related = prompts_for_half_width(0.05, Spread(correlation=0.5, verdicts=4))
    assert (related.prompts, related.verdicts) == (241, 964)


@given(st.floats(0.01, 0.4), spreads, st.floats(0.5, 0.99))
def test_the_planned_prompts_just_suffice_for_the_width(half_width, spread, level):
    planned = prompts_for_half_width(half_width, spread, level)
    assert half_width_of(planned.prompts, spread, level) <= half_width * (1 + 1e-6)
    if planned.prompts > 2:
        assert half_width_of(planned.prompts - 1, spread, level) > half_width
    assert (planned.level, planned.half_width, planned.spread) == (level, half_width, spread)


@given(st.floats(0.52, 0.98), st.floats(0.6, 0.99), spreads)
def test_the_planned_prompts_just_suffice_for_the_power(rate, power, spread):
    planned = prompts_for_power(rate, power, spread)
    assert power_of(planned.prompts, rate, spread) >= power - 1e-6
    if planned.prompts > 2:
        assert power_of(planned.prompts - 1, rate, spread) < power
    assert abs(prompts_for_power(1 - rate, power, spread).prompts - planned.prompts) <= 1


def correlated_verdicts(generator, prompts, verdicts, rate, concentration):
    """Wins with the intraclass correlation 1 / (1 + concentration)."""
    chance = generator.beta(rate * concentration, (1 - rate) * concentration, prompts)
    wins = generator.random((prompts, verdicts)) < chance[:, None]
    return wins.ravel().astype(float), np.repeat(np.arange(prompts), verdicts)


def test_a_simulated_study_has_the_width_and_the_power_planned():
    generator = np.random.default_rng(6)
    spread = Spread(correlation=0.25, verdicts=4)
    planned = prompts_for_power(0.57, 0.8, spread)
    told_apart, errors = 0, []
    for _ in range(400):
        values, prompts = correlated_verdicts(generator, planned.prompts, 4, 0.57, 3)
        result = win_rate(values, prompts, resamples=1)
        errors.append(result.standard_error)
        told_apart += result.mean - 1.96 * result.standard_error > 0.5
    assert told_apart / 400 == pytest.approx(0.8, abs=0.06)  # three standard deviations
    expected = half_width_of(planned.prompts, spread, win_rate=0.57)
    assert 1.96 * np.mean(errors) == pytest.approx(expected, rel=0.02)


def test_a_pilot_tells_the_spread_it_was_drawn_from():
    generator = np.random.default_rng(9)
    values, prompts = correlated_verdicts(generator, 6000, 4, 0.6, 3)
    kept = generator.random(len(values)) < 0.8  # unequal numbers of verdicts
    spread = measured_spread(np.where(kept, values, np.nan), prompts)
    assert spread.correlation == pytest.approx(0.25, abs=0.03)
    assert spread.sd == pytest.approx(np.sqrt(0.24), abs=0.01)
    assert spread.verdicts == pytest.approx(3.2, abs=0.1)


def test_the_extremes_of_correlation():
    assert measured_spread([1, 1, 0, 0], list("aabb")).correlation == 1
    opposed = measured_spread([1, 0, 1, 0], list("aabb"))
    assert opposed.correlation == 0
    assert opposed.design_effect == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: prompts_for_half_width(0),
        lambda: prompts_for_half_width(0.6),
        lambda: prompts_for_half_width(0.1, level=1),
        lambda: prompts_for_power(0.5),
        lambda: prompts_for_power(1),
        lambda: prompts_for_power(0.6, power=0.01),
        lambda: half_width_of(0),
        lambda: Spread(sd=0),
        lambda: Spread(correlation=1.1),
        lambda: Spread(verdicts=0),
        lambda: measured_spread([1, 0], ["a", "b"]),
        lambda: measured_spread([1, 0], ["a", "a"]),
        lambda: measured_spread([1, 1, 1], ["a", "a", "b"]),
        lambda: measured_spread([1, 0, 1], ["a", "a"]),
    ],
)
def test_what_cannot_be_planned_is_refused(call):
    with pytest.raises(ConfigError):
        call()
