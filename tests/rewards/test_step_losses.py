"""Losses of steps and of aspects: closed forms, torch's own cross-entropy, and labels that are not there."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from rewards.losses import IGNORED, aspect_loss, step_loss

LOGITS = st.floats(-30, 30, width=32)


def loss(logits, labels, **options):
    return float(step_loss(torch.tensor(logits, dtype=torch.float64), labels, **options))


def test_hand_worked_numbers():
    assert loss([0.0], [1]) == pytest.approx(math.log(2))
    # -log(3/4) for a right step of probability 3/4, -log(1 - 3/4) for a wrong one.
    assert loss([math.log(3)] * 2, [1, 0]) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    # A wrong step weighs 3: (log(4/3) + 3 log 4) / (1 + 3).
    assert loss([math.log(3)] * 2, [1, 0], wrong_weight=3) == pytest.approx(
        (math.log(4 / 3) + 3 * math.log(4)) / 4
    )
    # Soft: 0.25 log(4/3) + 0.75 log 4, and with a weight of 3 on the wrong part.
    soft = 0.25 * math.log(4 / 3), 0.75 * math.log(4)
    assert loss([math.log(3)], [0.25]) == pytest.approx(sum(soft))
    assert loss([math.log(3)], [0.25], wrong_weight=3) == pytest.approx((soft[0] + 3 * soft[1]) / 2.5)
    # The least loss of a soft label is its entropy, at its own log-odds.
    assert loss([math.log(0.25 / 0.75)], [0.25]) == pytest.approx(
        -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    )


@given(
    st.lists(st.tuples(LOGITS, LOGITS, st.sampled_from([0, 1, IGNORED])), min_size=1, max_size=12),
    st.floats(0.1, 10),
)
def test_it_is_torchs_cross_entropy_with_class_weights(steps, weight):
    labels = [label for *_, label in steps]
    logits = torch.tensor([pair for *pair, _ in steps], dtype=torch.float64)
    if all(label == IGNORED for label in labels):
        with pytest.raises(ValueError, match="no step is labelled"):
            step_loss(logits, labels)
        return
    weights = torch.tensor([weight, 1.0], dtype=torch.float64)
    theirs = cross_entropy(logits, torch.tensor(labels), weight=weights, ignore_index=IGNORED)
    assert float(step_loss(logits, labels, weight)) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9)
    difference = logits[:, 1] - logits[:, 0]
    assert float(step_loss(difference, torch.tensor(labels), weight)) == pytest.approx(
        float(theirs), abs=1e-9
    )


@given(st.lists(st.tuples(LOGITS, LOGITS, st.floats(0, 1)), min_size=1, max_size=8))
def test_soft_labels_are_torchs_cross_entropy_of_probabilities(steps):
    logits = torch.tensor([pair for *pair, _ in steps], dtype=torch.float64)
    labels = torch.tensor([label for *_, label in steps], dtype=torch.float64)
    theirs = cross_entropy(logits, torch.stack([1 - labels, labels], dim=1))
    assert float(step_loss(logits, labels)) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("missing", [None, float("nan"), IGNORED])
def test_a_missing_label_and_what_is_written_there_change_nothing(missing):
    logits = torch.tensor([[0.5, 1.0], [math.inf, -math.inf], [2.0, -1.0]], requires_grad=True)
    with_it = step_loss(logits, [1, missing, 0])
    without = step_loss(logits[[0, 2]], [1, 0])
    assert with_it.detach() == without.detach()
    with_it.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].tolist() == [0.0, 0.0]
    assert (logits.grad[[0, 2]] != 0).all()


def test_shapes_of_any_rank_and_formats():
    logits = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = np.array([[1, 0, np.nan], [0.5, np.nan, 1]])
    flat = step_loss(logits.reshape(-1, 2), labels.reshape(-1))
    assert float(step_loss(logits, labels)) == float(flat)
    assert step_loss(logits.bfloat16(), labels).dtype == torch.float32
    assert step_loss(logits.double(), labels).dtype == torch.float64


@pytest.mark.parametrize(
    ("logits", "labels", "options", "message"),
    [
        ([[0.0, 1.0]], [None], {}, "no step is labelled"),
        ([[0.0, 1.0]], [1.5], {}, r"in \[0, 1\]"),
        ([[0.0, 1.0]], [-0.1], {}, r"in \[0, 1\]"),
        ([[0.0, 1.0]], [1, 0], {}, r"got \[1, 2\] and \[2\]"),
        ([[0.0, 1.0, 2.0]], [1], {}, r"got \[1, 3\] and \[1\]"),
        ([[0.0, 1.0]], [1], {"wrong_weight": -1.0}, "a number of 0 or more, got -1"),
        ([[0.0, 1.0]], [1], {"wrong_weight": float("nan")}, "a number of 0 or more, got nan"),
        ([[0.0, 1.0]], [0], {"wrong_weight": 0.0}, "weigh nothing"),
    ],
)
def test_what_is_no_label_is_refused(logits, labels, options, message):
    with pytest.raises(ValueError, match=message):
        step_loss(torch.tensor(logits), labels, **options)


def test_aspects_by_hand():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    # (1 - 0)^2, (3 - 1)^2 and (5 - 2)^2 over three labels.
    found = aspect_loss(outputs, [[0.0, None], [1.0, 2.0]])
    assert found.item() == pytest.approx((1 + 4 + 9) / 3)
    found.backward()
    assert outputs.grad.tolist() == [pytest.approx([2 / 3, 0]), pytest.approx([4 / 3, 2])]
    assert float(aspect_loss(torch.tensor([[0.0, 0.0]]), [[1.0, 0.0]], "error")) == pytest.approx(math.log(2))
    odds = torch.tensor([[math.log(3)], [math.log(3)]])
    assert float(aspect_loss(odds, [[1.0], [0.0]], "error")) == pytest.approx(
        (math.log(4 / 3) + math.log(4)) / 2
    )


@pytest.mark.parametrize("objective", ["regression", "error"])
def test_outputs_without_a_label_have_no_gradient_whatever_they_are(objective):
    outputs = torch.tensor([[math.nan, 0.5], [math.inf, -0.5]], requires_grad=True)
    aspect_loss(outputs, [[None, 1.0], [math.nan, 0.0]], objective).backward()
    assert torch.isfinite(outputs.grad).all()
    assert outputs.grad[:, 0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("outputs", "labels", "objective", "message"),
    [
        ([[1.0]], [[None]], "regression", "no aspect is labelled"),
        ([[1.0]], [[2.0]], "error", r"in \[0, 1\]"),
        ([[1.0, 2.0]], [[2.0]], "regression", r"got \[1, 2\], \[1, 1\]"),
        ([[1.0]], [[1.0]], "rank", "regression or error, got 'rank'"),
    ],
)
def test_labels_of_aspects_that_do_not_fit_are_refused(outputs, labels, objective, message):
    with pytest.raises(ValueError, match=message):
        aspect_loss(torch.tensor(outputs), labels, objective)
