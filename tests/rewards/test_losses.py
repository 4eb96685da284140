import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from rewards.losses import ranking_loss, ranking_losses


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def by_hand(scores, ranks, margin=0.0, label_smoothing=0.0, centering=0.0):
    """The mean over unordered pairs, in Python's float64."""
    losses = []
    for i in range(len(scores)):
        for j in range(i + 1, len(scores)):
            better, worse = (i, j) if ranks[i] <= ranks[j] else (j, i)
            if ranks[i] == ranks[j]:
                h = scores[i] - scores[j]
                loss = -(log_sigmoid(h) + log_sigmoid(-h)) / 2
            else:
                h = scores[better] - scores[worse] - margin
                loss = -(1 - label_smoothing) * log_sigmoid(h) - label_smoothing * log_sigmoid(-h)
            losses.append(loss + centering * (scores[i] + scores[j]) ** 2)
    return sum(losses) / len(losses)


rankings = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-20, 20, width=32), min_size=k, max_size=k),
        st.lists(st.integers(1, 4), min_size=k, max_size=k),
    )
)
knobs = st.fixed_dictionaries(
    {
        "margin": st.floats(-2, 2),
        "label_smoothing": st.floats(0, 0.49),
        "centering": st.sampled_from([0.0, 0.01, 0.5]),
    }
)


def test_pairs_with_margins_as_other_trainers_compute_them():
    # -log sigmoid(1 - .2 - .1) and -log sigmoid(.5 - .7); OpenRLHF's PairWiseLoss prints .60066247.
    losses = ranking_losses(
        tensor([1.0, 0.2, 0.5, 0.7]), tensor([1, 2, 1, 2]), tensor([0, 0, 1, 1]), 2, tensor([0.1, 0.0])
    )
    assert losses.tolist() == pytest.approx([0.40318605, 0.79813887], abs=1e-7)
    assert losses.mean().item() == pytest.approx(0.60066247, abs=1e-7)


def test_three_responses_by_hand():
    # Pairs (2, 1), (2, 0), (1, 0): log(1 + e^-1) = .31326169 twice, log(1 + e^-2) = .12692801.
    loss = ranking_loss(tensor([0.0, 1.0, 2.0]), tensor([3, 2, 1]))
    assert loss.item() == pytest.approx((2 * 0.31326169 + 0.12692801) / 3, abs=1e-7)


@given(rankings, knobs)
def test_any_ranking_equals_the_sum_over_pairs(ranking, knob):
    scores, ranks = ranking
    loss = ranking_loss(tensor(scores), tensor(ranks), **knob).item()
    assert loss == pytest.approx(by_hand(scores, ranks, **knob), rel=1e-5, abs=1e-5)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(-3, 3))
def test_two_responses_are_the_pairwise_loss(chosen, rejected, margin):
    loss = ranking_loss(tensor([rejected, chosen]), tensor([2, 1]), margin)
    pairwise = -torch.nn.functional.logsigmoid(tensor(chosen) - tensor(rejected) - margin)
    torch.testing.assert_close(loss, pairwise, rtol=1e-5, atol=1e-5)


@given(rankings, knobs, st.randoms(use_true_random=False))
def test_the_order_of_responses_does_not_matter(ranking, knob, random):
    scores, ranks = ranking
    order = list(range(len(scores)))
    random.shuffle(order)
    shuffled = ranking_loss(tensor(scores)[order], tensor(ranks)[order], **knob)
    torch.testing.assert_close(
        shuffled, ranking_loss(tensor(scores), tensor(ranks), **knob), rtol=1e-5, atol=1e-5
    )


@given(rankings, st.floats(0, 0.49), st.floats(-1, 1))
def test_only_differences_count_without_centring(ranking, label_smoothing, margin):
    scores, ranks = ranking
    values = tensor(scores, requires_grad=True)
    ranking_loss(values, tensor(ranks), margin, label_smoothing).backward()
    assert values.grad.sum().item() == pytest.approx(0, abs=1e-6)


def test_a_tie_is_half_a_win_each_and_ignores_margin_and_smoothing():
    tie = ranking_loss(tensor([0.3, 1.5]), tensor([1, 1]), margin=5.0, label_smoothing=0.3)
    wins = [ranking_loss(tensor([0.3, 1.5]), tensor(ranks)) for ranks in ([1, 2], [2, 1])]
    assert tie.item() == pytest.approx((wins[0].item() + wins[1].item()) / 2, abs=1e-7)
    scores = tensor([0.7, 0.7], requires_grad=True)
    ranking_loss(scores, tensor([1, 1])).backward()
    assert scores.grad.tolist() == [0.0, 0.0]  # equal scores are where a tie is content


def test_label_smoothing_is_least_at_the_log_odds_of_the_labels():
    # -(1 - e) log s(h) - e log s(-h) has its minimum at h = log((1 - e) / e), the entropy of (e, 1 - e).
    e = 0.2
    h = tensor([math.log((1 - e) / e), 0.0], requires_grad=True)
    loss = ranking_loss(h, tensor([1, 2]), label_smoothing=e)
    loss.backward()
    assert loss.item() == pytest.approx(-(e * math.log(e) + (1 - e) * math.log(1 - e)), abs=1e-6)
    assert h.grad.tolist() == pytest.approx([0, 0], abs=1e-7)


def test_centring_adds_the_squared_sum_of_each_pair():
    scores, ranks = tensor([1.0, 2.0, -0.5]), tensor([1, 2, 3])
    added = ranking_loss(scores, ranks, centering=0.1) - ranking_loss(scores, ranks)
    assert added.item() == pytest.approx(0.1 * (3.0**2 + 0.5**2 + 1.5**2) / 3, abs=1e-6)


@settings(max_examples=50)
@given(st.lists(rankings, min_size=1, max_size=4), knobs, st.randoms(use_true_random=False))
def test_several_prompts_at_once_are_each_alone(prompts, knob, random):
    rows = [(s, r, number) for number, one in enumerate(prompts) for s, r in zip(*one, strict=True)]
    random.shuffle(rows)  # the rows of a prompt need not stand together
    margins = [knob["margin"] * (number + 1) for number in range(len(prompts))]
    scores, ranks, groups = (tensor(column) for column in zip(*rows, strict=True))
    together = ranking_losses(scores, ranks, groups, len(prompts), tensor(margins), **without_margin(knob))
    alone = [
        ranking_loss(tensor(s), tensor(r), margin, **without_margin(knob))
        for (s, r), margin in zip(prompts, margins, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-5, atol=1e-5)


def without_margin(knob):
    return {name: value for name, value in knob.items() if name != "margin"}


def test_extreme_scores_do_not_overflow():
    for scores, expected in (([1e4, -1e4], 0.0), ([-1e4, 1e4], 2e4)):
        values = tensor(scores, requires_grad=True)
        loss = ranking_loss(values, tensor([1, 2]), label_smoothing=0.0)
        loss.backward()
        assert loss.item() == pytest.approx(expected)
        assert torch.isfinite(values.grad).all()
    assert ranking_loss(tensor([6e4, -6e4], dtype=torch.float16), tensor([2, 1])).item() == pytest.approx(
        2 * 59968, rel=1e-3
    )  # the difference overflows half precision; it is taken in float32


@pytest.mark.parametrize(
    ("scores", "ranks"), [([1.0], [1]), ([1.0, 2.0], [1, 2, 3]), ([[1.0, 2.0]], [[1, 2]])]
)
def test_shapes_that_are_no_ranking_are_refused(scores, ranks):
    with pytest.raises(ValueError, match="both \\[K\\]"):
        ranking_loss(tensor(scores), tensor(ranks))


@pytest.mark.parametrize("label_smoothing", [-0.1, 0.5, 1.0, math.nan])
def test_label_smoothing_outside_its_range_is_refused(label_smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing is in \[0, 0\.5\), got"):
        ranking_loss(tensor([1.0, 2.0]), tensor([1, 2]), label_smoothing=label_smoothing)


@pytest.mark.parametrize("shape", [[1], [3], [1, 1]])
def test_a_margin_for_each_pair_is_refused(shape):
    with pytest.raises(ValueError, match=r"a number or a scalar; got \[" + str(shape)[1:-1]):
        ranking_loss(tensor([1.0, 2.0, 3.0]), tensor([1, 2, 3]), torch.zeros(shape))


def test_ranks_may_be_a_list_or_an_array():
    scores, ranks = tensor([0.3, -0.2, 1.0]), [2, 1, 1]
    losses = {ranking_loss(scores, kind(ranks)).item() for kind in (list, tuple, np.array, tensor)}
    assert len(losses) == 1


def test_double_precision_is_kept():
    scores, ranks = [0.1, -1.7, 2.3], [2, 3, 1]
    loss = ranking_loss(tensor(scores, dtype=torch.float64), ranks, 0.25, 0.1, 0.01)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(by_hand(scores, ranks, 0.25, 0.1, 0.01), rel=1e-14)
    assert ranking_loss(tensor(scores, dtype=torch.bfloat16), ranks).dtype == torch.float32


@pytest.mark.parametrize("centering", [0.0, 0.01])
@pytest.mark.parametrize("margins", [None, [0.5, 0.0, -0.25]])
def test_equals_the_loss_of_trl(tmp_path, make_tokenizer, make_classifier, centering, margins):
    trl = pytest.importorskip("trl")
    from trl.trainer.reward_trainer import DataCollatorForPreference

    tokenizer, model = make_tokenizer(), make_classifier()
    pairs = [("What is it?", " good", " bad light"), ("Why", " blue sky", " red"), ("One", " two", " ten")]
    data = Dataset.from_dict(
        dict(zip(("prompt", "chosen", "rejected"), map(list, zip(*pairs, strict=True)), strict=True))
    )
    trainer = trl.RewardTrainer(
        model=model,
        args=trl.RewardConfig(
            output_dir=str(tmp_path),
            bf16=False,
            use_cpu=True,
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            activation_checkpointing=False,
            center_rewards_coefficient=centering or None,
        ),
        train_dataset=data,
        processing_class=tokenizer,
    )
    rows = [dict(row) for row in trainer.train_dataset]
    for row, margin in zip(rows, margins or [], strict=False):
        row["margin"] = margin
    batch = DataCollatorForPreference(tokenizer.pad_token_id)(rows)
    with torch.no_grad():
        theirs = trainer.compute_loss(model.eval(), dict(batch))
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0]
    ours = ranking_losses(
        logits, tensor([1, 1, 1, 2, 2, 2]), tensor([0, 1, 2] * 2), 3, tensor(margins or 0.0), 0.0, centering
    ).mean()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
