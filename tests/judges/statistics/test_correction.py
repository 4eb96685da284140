import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from judges.statistics.correction import human_corrected_win_rate
from rewards.errors import ConfigError

NAN = float("nan")


def verdicts(generator, number, right=0.8, wins=0.6, ties=0.2):
    """People's verdicts and those of a model that agrees on a share `right`, and else favours first."""
    tied, won = generator.random(number) < ties, generator.random(number) < wins
    human = np.where(tied, 0.5, won.astype(float))
    guess = generator.choice([0, 0.5, 1], number, p=[0.1, 0.2, 0.7])
    return human, np.where(generator.random(number) < right, human, guess)


def test_the_estimate_of_four_human_verdicts_worked_by_hand():
    # People 1 0 1 1, the model beside them 1 0 0 1, elsewhere 1 1 0 0 1 1 1 1. Weights without each: the
    # slope of the other three (1 without the third, 1/2 without another), times 1 / (1 + 4 / 8).
    result = human_corrected_win_rate([1, 1, 0, 0, 1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 0, 1])
    slopes = [np.polyfit(np.delete([1, 0, 0, 1], i), np.delete([1, 0, 1, 1], i), 1)[0] for i in range(4)]
    assert slopes == pytest.approx([0.5, 0, 1, 0.5])
    weights = np.array(slopes) * 2 / 3
    assert result.mean == pytest.approx(0.75 + np.mean(weights * (0.75 - np.array([1, 0, 0, 1]))))
    assert result.weight == pytest.approx((1 / 2) * 2 / 3)  # cov 1/6, var 1/3 of people's four
    assert (result.model_mean, result.human_only.mean) == (0.75, 0.75)
    assert (result.n, result.human, result.prompts, result.missing) == (8, 4, 4, 0)
    assert result.human_only.standard_error == pytest.approx(np.std([1, 0, 1, 1], ddof=1) / 2)


def test_with_many_verdicts_it_is_the_power_tuned_formula_of_the_paper():
    generator = np.random.default_rng(0)
    human, beside = verdicts(generator, 4000)
    model = verdicts(generator, 12000)[1]
    result = human_corrected_win_rate(model, human, beside)
    weight = np.cov(human, beside)[0, 1] / ((1 + 4000 / 12000) * beside.var(ddof=1))
    assert result.weight == pytest.approx(weight)
    assert result.mean == pytest.approx(human.mean() + weight * (model.mean() - beside.mean()), abs=2e-5)
    variance = np.var(human - weight * beside) / 4000 + weight**2 * model.var() / 12000
    assert result.standard_error == pytest.approx(np.sqrt(variance), rel=2e-3)
    reach = student.ppf(0.975, 3998) * result.standard_error / (result.mean * (1 - result.mean))
    assert (result.low, result.high) == pytest.approx(
        tuple(expit(logit(result.mean) + reach * np.array([-1, 1])))
    )
    assert result.gain == pytest.approx((result.human_only.standard_error / result.standard_error) ** 2)


def test_a_model_that_is_always_right_is_worth_its_own_verdicts():
    generator = np.random.default_rng(1)
    human, _ = verdicts(generator, 300)
    model, _ = verdicts(generator, 2700)
    result = human_corrected_win_rate(model, human, human)
    assert result.weight == pytest.approx(0.9)
    assert result.mean == pytest.approx(np.concatenate([human, model]).mean(), abs=1e-3)
    assert result.gain == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("model", [[1.0] * 50, [0.5] * 50])
def test_a_model_that_always_says_the_same_changes_nothing(model):
    human = [1, 0, 1, 0.5, 1, 0, 1, 1]
    result = human_corrected_win_rate(model, human, model[:8])
    assert (result.mean, result.weight) == (result.human_only.mean, 0)
    assert result.standard_error == pytest.approx(result.human_only.standard_error)
    assert result.gain == pytest.approx(1)


@pytest.mark.parametrize(("people", "number"), [(50, 500), (60, 60)])
def test_it_is_unbiased_where_the_model_alone_is_far_off(people, number):
    generator, means = np.random.default_rng(2), []
    held = alone = 0
    for _ in range(1500):
        human, beside = verdicts(generator, people, right=0.6)
        result = human_corrected_win_rate(verdicts(generator, number, right=0.6)[1], human, beside)
        means.append(result.mean)
        held += result.low <= 0.58 <= result.high
        alone += abs(result.model_mean - 0.58) < 0.03
    error = np.std(means) / np.sqrt(1500)
    assert np.mean(means) == pytest.approx(0.58, abs=3.5 * error)
    assert 0.93 <= held / 1500 <= 0.97
    assert alone < 450


def test_comparisons_among_the_models_own_are_told_by_included_or_by_prompts():
    generator = np.random.default_rng(3)
    human, model = verdicts(generator, 400, right=0.9)
    chosen = generator.choice(400, 80, replace=False)
    said = human_corrected_win_rate(model, human[chosen], model[chosen], included=True)
    by_prompts = human_corrected_win_rate(
        model, human[chosen], model[chosen], model_prompts=np.arange(400), human_prompts=chosen
    )
    assert (said.mean, said.low, said.weight) == pytest.approx(
        (by_prompts.mean, by_prompts.low, by_prompts.weight)
    )
    assert said.standard_error == pytest.approx(by_prompts.standard_error, rel=0.03)
    assert said.weight == pytest.approx(
        np.cov(human[chosen], model[chosen])[0, 1] / model[chosen].var(ddof=1)
    )
    # All but the 80 as other comparisons are the same information.
    rest = human_corrected_win_rate(np.delete(model, chosen), human[chosen], model[chosen])
    assert rest.mean == pytest.approx(said.mean, abs=0.01 * said.standard_error)
    assert rest.standard_error == pytest.approx(said.standard_error, rel=0.03)
    ignored = human_corrected_win_rate(model, human[chosen], model[chosen])
    assert ignored.standard_error != pytest.approx(rest.standard_error, rel=0.005)


def test_where_people_judged_all_the_model_adds_nothing():
    human, model = verdicts(np.random.default_rng(4), 90)
    result = human_corrected_win_rate(model, human, model, included=True)
    assert (result.mean, result.weight) == (human.mean(), 0)
    assert result.gain == pytest.approx(1)


def test_copies_of_a_prompt_s_verdicts_do_not_narrow_the_interval():
    generator = np.random.default_rng(5)
    human, beside = verdicts(generator, 60)
    model = verdicts(generator, 300)[1]
    once = human_corrected_win_rate(model, human, beside)
    copied = human_corrected_win_rate(
        np.tile(model, 4),
        np.tile(human, 4),
        np.tile(beside, 4),
        model_prompts=np.tile(np.arange(300), 4),
        human_prompts=np.tile([f"p{k}" for k in range(300, 360)], 4),
    )
    assert (copied.mean, copied.low, copied.high) == pytest.approx((once.mean, once.low, once.high))
    assert (copied.prompts, copied.human, copied.gain) == (60, 240, pytest.approx(once.gain))
    naive = human_corrected_win_rate(np.tile(model, 4), np.tile(human, 4), np.tile(beside, 4))
    assert naive.standard_error < 0.6 * once.standard_error


def test_the_other_side_s_win_rate_is_the_mirror_image():
    generator = np.random.default_rng(6)
    human, beside = verdicts(generator, 60)
    model = verdicts(generator, 300)[1]
    one = human_corrected_win_rate(model, human, beside)
    other = human_corrected_win_rate(1 - model, 1 - human, 1 - beside)
    assert (other.mean, other.low, other.high) == pytest.approx((1 - one.mean, 1 - one.high, 1 - one.low))
    assert other.weight == pytest.approx(one.weight)


def test_missing_verdicts_are_left_out_and_counted():
    generator = np.random.default_rng(7)
    human, beside = verdicts(generator, 60)
    model = verdicts(generator, 300)[1]
    whole = human_corrected_win_rate(model, human, beside)
    holes = human_corrected_win_rate([*model, NAN, NAN], [*human, 1, NAN], [*beside, NAN, 0])
    assert (holes.missing, holes.missing_human) == (2, 2)
    assert (holes.mean, holes.low, holes.n) == pytest.approx((whole.mean, whole.low, 300), rel=1e-12)


def test_as_many_more_labels_as_said_reach_the_width():
    generator = np.random.default_rng(8)
    human, beside = verdicts(generator, 100, right=0.75)
    model = verdicts(generator, 3000, right=0.75)[1]
    few = human_corrected_win_rate(model, human, beside)
    more = few.more_labels(0.04)
    assert 50 < more < (few.human_only.standard_error * 1.98 / 0.04) ** 2 * 100
    widths = []
    for _ in range(40):
        human, beside = verdicts(generator, 100 + more, right=0.75)
        result = human_corrected_win_rate(verdicts(generator, 3000, right=0.75)[1], human, beside)
        widths.append((result.high - result.low) / 2)
    assert np.mean(widths) == pytest.approx(0.04, rel=0.1)
    assert few.more_labels(0.4) == 0
    assert few.more_labels(0.02) > few.more_labels(0.03) > more


def test_labelling_all_of_the_comparisons_leaves_people_s_variance():
    human, model = verdicts(np.random.default_rng(9), 200, right=0.99)
    result = human_corrected_win_rate(model, human[:50], model[:50], included=True)
    assert result.overlap.explained(4.0) == pytest.approx(0, abs=1e-12)
    assert result.overlap.explained(40.0) == 0
    assert result.overlap.explained(1.0) == pytest.approx(0.75)
    assert result.more_labels(0.01) > 2000


def test_people_who_all_say_the_same_leave_the_interval_open():
    result = human_corrected_win_rate([1, 0, 1, 1, 0, 1], [1, 1, 1, 1], [1, 0, 1, 1])
    assert (result.mean, result.low, result.high, result.gain) == (1, None, None, None)
    with pytest.raises(ConfigError, match="alike"):
        result.more_labels(0.05)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (([1, 0], [1, 0], [1, 0]), {}, "at least 3 prompts; got 2 of the model and people's on 2"),
        (([1, 0], [1, 0, 1, 1], [1, 0, 1, 1]), {"model_prompts": [1, 2]}, "together"),
        (([1, 0], [1, 0, 1], [1, 0]), {}, "got 3 and 2"),
        (([1, 2], [1, 0, 1], [1, 0, 0]), {}, "model_preferences .* got 2"),
        (([[1, 0]], [1, 0, 1], [1, 0, 0]), {}, "shape"),
        (([NAN, NAN], [1, 0, 1], [1, 0, 0]), {}, "got 0 of the model"),
        (([1, 0, 0], [1, 0, 1], [1, 1, 0]), {"included": True}, "1.0 more often"),
        (([1, 0], [1, 0, 1], [1, 0, 0]), {"level": 95}, "level"),
        (
            ([1, 0, 1], [1, 0, 1], [1, 0, 1]),
            {"included": True, "model_prompts": [1, 2, 3], "human_prompts": [1, 2, 3]},
            "omit included",
        ),
        (
            ([1, 0, 1], [1, 0, 1], [1, 0, 1]),
            {"model_prompts": [1, 2], "human_prompts": [1, 2, 3]},
            "a prompt for each",
        ),
    ],
)
def test_what_cannot_be_used_is_named(arguments, settings, said):
    with pytest.raises(ConfigError, match=said):
        human_corrected_win_rate(*arguments, **settings)
