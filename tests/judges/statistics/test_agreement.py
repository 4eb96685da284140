import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.statistics.agreement import (
    UndefinedAgreementError,
    agreement,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from judges.statistics.raters import agreement_with_rest, pairwise_agreement
from judges.statistics.ratings import majority
from rewards.errors import ConfigError
from rewards.intervals import Resampling

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
NAN = float("nan")
# Two doctors' yes and no on 50 patients: 20 both yes, 15 both no, 5 and 10 apart. Observed 0.7, expected 0.5.
DOCTORS = ["y"] * 20 + ["y"] * 5 + ["n"] * 10 + ["n"] * 15, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
# Fleiss 1971 as in its textbook form: 10 items, 14 raters, 5 categories; kappa 0.210.
FLEISS = """0 0 0 0 14\n0 2 6 4 2\n0 0 3 5 6\n0 3 9 2 0\n2 2 8 1 1\n7 7 0 0 0\n3 2 6 3 0\n2 5 3 2 2\n6 5 2 1 0
0 2 2 3 7"""
# Krippendorff 2011, section C: four observers, twelve units, missing ratings.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def annotators() -> list[list[int]]:
    path = DATA / "pandalm" / "testset-v1.json"
    if not path.exists():
        pytest.skip("needs ../shared/data/pandalm")
    rows = json.loads(path.read_text())
    return [[row[f"annotator{number}"] for row in rows] for number in (1, 2, 3)]


def test_cohen_s_kappa_worked_by_hand():
    assert cohen_kappa(*DOCTORS) == pytest.approx(0.4)
    assert percent_agreement(*DOCTORS) == pytest.approx(0.7)
    # Distances 0 1 2 0; expected, each of 1 1 1 3 with each of 1 2 3 3: (3 (0 + 1 + 2 + 2) + 2 + 1) / 16.
    assert cohen_kappa([1, 1, 1, 3], [1, 2, 3, 3], weights="linear") == pytest.approx(1 - (3 / 4) / (18 / 16))


def test_fleiss_and_krippendorff_of_the_textbooks():
    counts = [[int(number) for number in row.split()] for row in FLEISS.splitlines()]
    assert fleiss_kappa(counts) == pytest.approx(0.20993, abs=5e-6)
    published = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}
    for metric, alpha in published.items():
        assert krippendorff_alpha(OBSERVERS, metric) == pytest.approx(alpha, abs=5e-4)


def test_pandalm_s_published_agreement():
    raters = annotators()
    pairs = [cohen_kappa(raters[i], raters[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert pairs == pytest.approx([0.8520, 0.8789, 0.8617], abs=5e-5)
    counts = np.stack([(np.array(raters) == label).sum(axis=0) for label in (0, 1, 2)], axis=1)
    assert fleiss_kappa(counts) == pytest.approx(0.864175, abs=5e-7)
    assert krippendorff_alpha(raters) == pytest.approx(0.864221, abs=5e-7)
    voted = majority(raters)
    assert [voted.count(label) for label in (0, 1, 2, None)] == [105, 422, 472, 0]


@pytest.mark.parametrize(
    ("judge", "column", "accuracy", "kappa", "unparsed"),
    [
        ("gpt-3.5-turbo", "gpt_result", 0.69770, 0.47551, 25),
        ("pandalm-7b", "pandalm_result", 0.66767, 0.43535, 0),
    ],
)
def test_judges_against_pandalm_s_majority(judge, column, accuracy, kappa, unparsed):
    people = majority(annotators())
    rows = json.loads((DATA / "pandalm" / f"{judge}-testset-v1.json").read_text())
    known = {"0": 0, "1": 1, "2": 2, "Tie": 0}
    given = [known.get(str(row[column])) for row in rows]
    assert given.count(None) == unparsed
    result = agreement([given, people], "percent", resampling=Resampling(resamples=200))
    assert (result.missing, result.n) == (unparsed, 999 - unparsed)
    assert result.low < result.value < result.high
    # The reference counts an unparsed verdict as wrong, and gives it a label of its own.
    assert result.value * result.n / 999 == pytest.approx(accuracy, abs=5e-6)
    assert cohen_kappa([-1 if label is None else label for label in given], people) == pytest.approx(
        kappa, abs=5e-6
    )


@pytest.mark.parametrize(
    ("name", "metric", "alpha"), [("codings", "nominal", 0.743421052631579), ("gcl", "nominal", 1 / 12)]
)
def test_alpha_of_evalica_s_codings(name, metric, alpha):
    path = DATA / "evalica" / f"{name}.csv"
    if not path.exists():
        pytest.skip("needs ../shared/data/evalica")
    with path.open() as file:
        table = [[label or None for label in row] for row in csv.reader(file)]
    assert krippendorff_alpha(table, metric) == pytest.approx(alpha, abs=1e-14)


def test_alpha_agrees_with_evalica_on_every_metric():
    evalica, pandas = pytest.importorskip("evalica"), pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    for _ in range(20):
        truth = generator.integers(1, 6, 30)
        table = np.clip(truth + generator.integers(-1, 2, (3, 30)), 1, 5).astype(float)
        table[generator.random((3, 30)) < 0.2] = NAN
        for metric in ("nominal", "ordinal", "interval", "ratio"):
            peer = evalica.alpha(pandas.DataFrame(table), metric).alpha
            assert krippendorff_alpha(table, metric) == pytest.approx(peer, abs=1e-12)


def test_llmbar_s_published_agreement_of_both_orders():
    judgments, published = (DATA / "llmbar" / f for f in ("judgments.csv.gz", "published_statistics.csv"))
    if not judgments.exists():
        pytest.skip("needs ../shared/data/llmbar")
    orders = {}
    with gzip.open(judgments, "rt") as file:
        for row in csv.DictReader(file):
            key = (row["subset"], row["evaluator"], row["strategy"])
            given, swapped = orders.setdefault(key, ([], []))
            given.append(row["winner_noswap"] or None)
            swapped.append(row["winner_swap"] or None)
    checked = 0
    with published.open() as file:
        for row in csv.DictReader(file):
            pair = orders.get((row["subset"], row["evaluator"], row["strategy"]))
            if pair is None or None in pair[0] + pair[1] or not row["kappa_agreement"]:
                continue
            checked += 1
            assert cohen_kappa(*pair) == pytest.approx(float(row["kappa_agreement"]), abs=1e-12)
    assert checked > 50


labels = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=40)


@settings(deadline=None)  # the first call loads scikit-learn
@given(labels, st.sampled_from([None, "linear", "quadratic"]))
def test_cohen_s_kappa_is_that_of_scikit_learn(pairs, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = (list(side) for side in zip(*pairs, strict=True))
    if len({*a, *b}) == 1:
        with pytest.raises(UndefinedAgreementError):
            cohen_kappa(a, b, weights)
        return
    peer = metrics.cohen_kappa_score(a, b, weights=weights, labels=[1, 2, 3, 4])
    assert cohen_kappa(a, b, weights) == pytest.approx(peer, abs=1e-12)
    assert cohen_kappa(b, a, weights) == pytest.approx(cohen_kappa(a, b, weights), abs=1e-12)


def differences(metric, values):
    """Krippendorff's metrics by their definitions, from all pairable values."""

    def ordinal(c, k):
        between = sum(min(c, k) <= value <= max(c, k) for value in values)
        return (between - (values.count(c) + values.count(k)) / 2) ** 2

    return {
        "nominal": lambda c, k: float(c != k),
        "ordinal": lambda c, k: ordinal(c, k) if c != k else 0.0,
        "interval": lambda c, k: (c - k) ** 2,
        "ratio": lambda c, k: ((c - k) / (c + k)) ** 2 if c + k else 0.0,
    }[metric]


@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 2.5, 7, None]), min_size=3, max_size=3), min_size=1, max_size=12
    ),
    st.sampled_from(["nominal", "ordinal", "interval", "ratio"]),
)
def test_alpha_is_one_less_observed_over_expected_difference(items, metric):
    units = [[label for label in item if label is not None] for item in items]
    units = [unit for unit in units if len(unit) > 1]
    values = [label for unit in units for label in unit]
    ratings = [list(rater) for rater in zip(*items, strict=True)]
    if len(set(values)) < 2:
        with pytest.raises(ValueError, match="same label" if values else "two ratings"):
            krippendorff_alpha(ratings, metric)
        return
    apart = differences(metric, values)
    observed = sum(sum(apart(c, k) for c in unit for k in unit) / (len(unit) - 1) for unit in units)
    expected = sum(apart(c, k) for c in values for k in values) / (len(values) - 1)
    assert krippendorff_alpha(ratings, metric) == pytest.approx(1 - observed / expected, abs=1e-9)


@pytest.mark.parametrize("missing", [None, NAN, np.nan])
def test_missing_ratings_are_left_out_never_a_label(missing):
    a, b = [*DOCTORS[0], missing, "y", missing], [*DOCTORS[1], "n", missing, missing]
    assert cohen_kappa(a, b) == pytest.approx(0.4)
    assert percent_agreement(a, b) == pytest.approx(0.7)
    result = agreement([a, b], "cohen", resampling=Resampling(resamples=50))
    assert (result.n, result.missing, result.value) == (50, 3, pytest.approx(0.4))


def test_an_undefined_agreement_has_no_number():
    alike = ["first"] * 5
    for undefined in (
        lambda: cohen_kappa(alike, alike),
        lambda: fleiss_kappa([[3, 0], [3, 0]]),
        lambda: krippendorff_alpha([alike, alike]),
        lambda: krippendorff_alpha([[0.1] * 3, [0.1] * 3], "interval"),
    ):
        with pytest.raises(UndefinedAgreementError, match="same label"):
            undefined()
    result = agreement([alike, alike], "cohen")
    assert (result.value, result.low, result.high) == (None, None, None)
    assert percent_agreement(alike, alike) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cohen_kappa([1, 2], [1]), "as many"),
        (lambda: cohen_kappa([1, None], [None, 2]), "every rater's rating"),
        (lambda: cohen_kappa(["a", "b"], ["b", "a"], "linear"), "finite numbers as labels, got 'a'"),
        (lambda: cohen_kappa([1, 2], [2, 1], "cubic"), "cubic"),
        (lambda: fleiss_kappa([[2, 1], [1, 1]]), "same number of ratings"),
        (lambda: fleiss_kappa([[0.5, 1.5]]), "whole numbers"),
        (lambda: krippendorff_alpha([[1, 2], [1]]), "a row for each rater"),
        (lambda: krippendorff_alpha([[1, None], [None, 1]]), "two ratings"),
        (lambda: krippendorff_alpha([["a", "b"], ["a", "b"]], "ordinal"), "ordinal metric needs finite"),
        (lambda: krippendorff_alpha([[1, -2], [1, 2]], "ratio"), "0 or more, got -2"),
        (lambda: krippendorff_alpha([[1, 2], [1, 2]], "cosine"), "metric is one of"),
        (lambda: agreement([[1, 2]] * 3, "cohen"), "two raters, got 3"),
        (lambda: agreement([[1, 2]] * 2, "percent", "interval"), "no 'percent' agreement"),
        (lambda: agreement([[1, 2]] * 2, prompts=[1]), "as many prompts as items"),
        (lambda: agreement_with_rest({"a": [1]}), "two raters or more"),
        (lambda: pairwise_agreement({"a": [1], "b": [1, 2]}), "a 1, b 2"),
    ],
)
def test_what_cannot_be_used_is_named(call, said):
    with pytest.raises(ConfigError, match=said):
        call()


@pytest.mark.parametrize(
    ("coefficient", "metric", "raters"),
    [
        ("percent", "nominal", 3),
        ("cohen", "nominal", 2),
        ("cohen", "quadratic", 2),
        ("fleiss", "nominal", 3),
        ("krippendorff", "nominal", 3),
        ("krippendorff", "ordinal", 3),
        ("krippendorff", "interval", 3),
        ("krippendorff", "ratio", 3),
    ],
)
def test_intervals_are_those_of_prompts_drawn_one_by_one(coefficient, metric, raters):
    generator = np.random.default_rng(1)
    truth = generator.integers(1, 4, 120)
    table = np.where(generator.random((raters, 120)) < 0.7, truth, generator.integers(1, 4, (raters, 120)))
    prompts = np.repeat(np.arange(40), 3)
    settings = Resampling(resamples=1500, seed=3)
    result = agreement(table, coefficient, metric, prompts, settings)
    members = [np.flatnonzero(prompts == prompt) for prompt in range(40)]
    drawn = []
    for _ in range(300):
        items = np.concatenate([members[prompt] for prompt in generator.integers(0, 40, 40)])
        drawn.append(
            agreement(table[:, items], coefficient, metric, resampling=Resampling(resamples=1)).value
        )
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.25 * (high - low))
    assert (result.n, result.prompts, result.resampling) == (120, 40, settings)
    assert agreement(table, coefficient, metric, prompts, settings) == result


def test_copies_of_a_prompt_s_items_do_not_narrow_the_interval():
    generator = np.random.default_rng(2)
    table = np.where(
        generator.random((2, 200)) < 0.6, generator.integers(0, 2, 200), generator.integers(0, 2, (2, 200))
    )
    once = agreement(table, "cohen")
    copied, prompts = np.tile(table, 6), np.tile(np.arange(200), 6)
    clustered, naive = agreement(copied, "cohen", prompts=prompts), agreement(copied, "cohen")
    assert clustered.value == pytest.approx(once.value)
    width = once.high - once.low
    assert clustered.high - clustered.low == pytest.approx(width, rel=0.15)
    assert naive.high - naive.low < 0.6 * width


def test_resamples_of_one_label_only_are_left_out_or_leave_no_interval():
    many = agreement([[1] * 6 + [2] * 2, [1] * 5 + [2] * 3], "cohen", resampling=Resampling(resamples=2000))
    assert many.undefined_resamples == pytest.approx(2000 * (5 / 8) ** 8, rel=0.4)
    assert many.low < many.value < many.high
    few = agreement([[1, 1, 1, 2], [1, 1, 1, 2]], "cohen", resampling=Resampling(resamples=2000))
    assert few.undefined_resamples == pytest.approx(2000 * 0.75**4, rel=0.15)
    assert (few.value, few.low, few.high) == (1, None, None)


def test_each_rater_against_the_others():
    votes = {
        "a": ["first", "first", "second", "tie", "first", None],
        "b": ["first", "second", "second", "tie", "first", "tie"],
        "c": ["first", "first", "second", "second", None, "tie"],
    }
    pairs = {(one.first, one.second): one for one in pairwise_agreement(votes)}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs["a", "b"].percent.value == pytest.approx(4 / 5)
    assert (pairs["a", "c"].percent.n, pairs["a", "c"].percent.missing) == (4, 2)
    rest = {one.first: one for one in agreement_with_rest(votes)}
    # b and c agree on items 1, 3 and 6, of which a judged two; on item 5 b alone is the majority.
    assert (rest["a"].percent.value, rest["a"].percent.n) == (1, 3)
    assert rest["b"].percent.value == pytest.approx(4 / 5)  # a and c have no majority on item 4
    assert rest["a"].second == "majority of the rest"
    assert pairwise_agreement({"a": ["x", None], "b": [None, "x"]}) == ()
