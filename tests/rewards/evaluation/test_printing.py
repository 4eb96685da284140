"""How evaluations print: their figures in words, their tables as data frames."""

import numpy as np
import pytest

from rewards.evaluation.accuracy import PromptSamples, accuracy_curve
from rewards.evaluation.aspects import report_aspect
from rewards.evaluation.calibration import calibrate
from rewards.evaluation.first_errors import first_error_f1
from rewards.evaluation.report_card import ScoredRanking, report_card
from rewards.evaluation.steps import calibrate_steps, step_roc
from rewards.intervals import Resampling, clustered_mean
from rewards.selection import rejection_sample

RESAMPLING = Resampling(resamples=50)


def test_an_estimate_says_its_interval_and_its_sizes():
    told = clustered_mean([1, 1, 0, 1], ["a", "a", "b", "c"], RESAMPLING)
    assert str(told) == f"0.750 ({told.low:.3f} to {told.high:.3f}), 4 rows of 3 prompts"
    assert str(clustered_mean([1.0], ["a"], RESAMPLING)) == "1.000, 1 row of 1 prompt"


def test_a_report_card_holds_the_scorer_above_its_baselines():
    rows = [
        ScoredRanking(f"p{n}", (1.0, 0.0) if n else (0.0, 0.0), (1, 2), (4, 3), {"<lists>": (0, 1)})
        for n in range(4)
    ]
    card = report_card(rows, 1.0, 10, RESAMPLING)
    frame = card.to_frame()
    assert frame["name"].tolist()[0] == "scorer"
    assert frame["accuracy"].tolist()[0] == 0.75
    assert set(frame["name"]) == {"scorer", *(one.name for one in card.baselines)}
    for baseline, advantage in zip(card.baselines, frame["advantage"].tolist()[1:], strict=True):
        assert advantage == pytest.approx(0.75 - baseline.accuracy.mean)
    lines = str(card).splitlines()
    assert lines[0].startswith("accuracy 0.750 (")
    assert lines[0].endswith("4 rows of 4 prompts, 1 tie counted as wrong")
    assert lines[1].startswith("calibration error ")
    assert "&lt;lists&gt;" in card._repr_html_()
    assert "<lists>" not in card._repr_html_()


def test_calibrations_are_tables_of_their_bins():
    pairs = calibrate([2.0, -1.0, 0.5])
    assert pairs.to_frame()["n"].sum() == 3
    assert str(pairs).splitlines()[0].endswith("3 pairs")
    steps = calibrate_steps([0.9, 0.2, 1.0], [1, 0, 0])
    assert "log loss infinite" in str(steps)
    assert steps.to_frame()["n"].sum() == 3


def test_an_accuracy_curve_has_a_row_for_each_method_and_n():
    prompts = [PromptSamples(np.array([1.0, 0.0]), {"s": np.array([1.0, 0.0])}, None) for _ in range(3)]
    curve = accuracy_curve(prompts, [1, 2], 4, RESAMPLING)
    frame = curve.to_frame()
    assert len(frame) == 2 * len(curve.methods)
    assert frame[frame["method"] == "best-of-n s"]["accuracy"].tolist() == [0.5, 1.0]
    assert str(curve).splitlines()[0] == "accuracy 0.500 of one sample; 6 samples to 3 prompts"


def test_what_is_no_table_is_told_in_lines():
    assert str(first_error_f1([0, -1, 2], [0, -1, 1])) == (
        "F1 0.667: first error found in 1 of 2 erroneous solutions, none in 1 of 1 correct ones"
    )
    roc = step_roc([0.9, 0.1], [1, 0], ["a", "b"], RESAMPLING)
    assert str(roc).startswith("area under the ROC curve 1.000")
    report = report_aspect("tone", [1.0, 0.0, 1.0], [1.0, 0.0, 0.5], ["a", "a", "b"], RESAMPLING)
    assert str(report).splitlines()[0] == "tone, 3 responses to 2 prompts"
    drawn = rejection_sample([0.0, 0.0, 0.0], 2, 1.0, np.random.default_rng(0))
    assert str(drawn).startswith(
        "2 candidates accepted at temperature 1 in 1 pass and 2 tries: acceptance 1.000"
    )
