import dataclasses
import json
import math
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rewards.config import BodyConfig, LoraConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError, DataError
from rewards.models.bodies import make_classifier as make_body
from rewards.models.outcome import RewardModel
from rewards.models.sidecar import read_sidecar
from rewards.records import Generation, Preference, Ranking
from rewards.scorers.loading import load_model_scorer
from rewards.specs import parse_spec
from rewards.training import fit_outcome

WORDS = ["a", "go", "sky", "blue", "light", "scatter", "redness!", "capitally", "everything"]
QUICK = TrainingConfig(
    learning_rate=3e-3, batch_prompts=8, epochs=1.0, evaluation_share=0.2, tensorboard=False, warmup_ratio=0.1
)


def longer_word_wins(number, seed=0):
    """Pairs of words of different lengths, the longer chosen; each of them a prompt of its own."""
    generator = np.random.default_rng(seed)
    records = []
    for place in range(number):
        short, long = sorted(generator.choice(len(WORDS), 2, replace=False))
        records.append(Preference(f"Say a word, {place}:", " " + WORDS[long], " " + WORDS[short]))
    return records


@pytest.fixture(scope="module")
def base(tmp_path_factory, make_classifier, make_tokenizer):
    folder = tmp_path_factory.mktemp("base")
    make_classifier(spread=0.08).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def train(base, tmp_path):
    """Return a function that fits a fresh copy of the base into a folder of the given name."""

    def run(name, records, config=QUICK, held_out=None):
        torch.set_num_threads(1)
        classifier, tokenizer = make_body(BodyConfig(name=str(base)), config.seed)
        encoder = Encoder(tokenizer, append_eos=True, max_length=64)
        return fit_outcome(RewardModel(classifier), encoder, records, held_out, config, tmp_path / name)

    return run


def scorer(folder):
    return load_model_scorer(parse_spec(f"{folder}?device=cpu", []))


def weights(folder):
    return load_file(folder / "model.safetensors")


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_weights(first, second, tolerance):
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(
            weight, theirs[name], rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_a_simple_rule_is_learnt(train, tmp_path):
    result = train("model", longer_word_wins(500), dataclasses.replace(QUICK, batch_prompts=16, epochs=3.0))
    assert result.packed
    assert (result.train_prompts, result.held_out_prompts, result.steps) == (400, 100, 75)
    assert result.evaluation["eval_accuracy"] > 0.9
    fresh = longer_word_wins(100, seed=1)
    model = scorer(tmp_path / "model")
    chosen = model.score([Generation(one.prompt, one.chosen) for one in fresh])
    rejected = model.score([Generation(one.prompt, one.rejected) for one in fresh])
    assert np.mean([c.value > r.value for c, r in zip(chosen, rejected, strict=True)]) > 0.9


def test_the_scale_is_that_of_the_training_responses(train, tmp_path):
    records = longer_word_wins(60)
    result = train("model", records, dataclasses.replace(QUICK, evaluation_share=0.0))
    model = scorer(tmp_path / "model")
    sides = [Generation(r.prompt, text) for r in records for text in (r.chosen, r.rejected)]
    logits = model.logits(sides)
    scale = read_sidecar(str(tmp_path / "model")).scale
    assert scale == result.scale == model.scale
    assert (scale.mean, scale.sd) == pytest.approx((np.mean(logits), np.std(logits)), rel=1e-4, abs=1e-5)
    values = [score.value for score in model.score(sides)]
    assert (np.mean(values), np.std(values)) == pytest.approx((0, 1), abs=1e-4)


def test_what_it_was_trained_on_is_recorded(train, tmp_path):
    train("model", longer_word_wins(20), dataclasses.replace(QUICK, max_steps=2))
    sidecar = read_sidecar(str(tmp_path / "model"))
    assert sidecar.append_eos
    assert sidecar.trained_on["prompts"] == 16
    assert sidecar.trained_on["training"]["learning_rate"] == 3e-3
    assert not (tmp_path / "model" / "checkpoints").exists()


def test_micro_batches_change_only_memory(train, tmp_path):
    records = longer_word_wins(44)  # 35 to train on: the last update of 8 has 3 prompts
    for micro in (0, 4, 1):
        train(str(micro), records, dataclasses.replace(QUICK, micro_batch_prompts=micro, learning_rate=1e-3))
        assert [line["step"] for line in metrics(tmp_path / str(micro)) if "loss" in line] == [1, 2, 3, 4, 5]
    for micro in ("4", "1"):
        assert_same_weights(tmp_path / "0", tmp_path / micro, 1e-6)
        ours, theirs = (
            [line["loss"] for line in metrics(tmp_path / m) if "loss" in line] for m in ("0", micro)
        )
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_checkpointed_activations_change_only_memory(train, tmp_path):
    for name, on in (("off", False), ("on", True)):
        train(name, longer_word_wins(30), dataclasses.replace(QUICK, gradient_checkpointing=on))
    ours, theirs = ([line["loss"] for line in metrics(tmp_path / m) if "loss" in line] for m in ("off", "on"))
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_packed_training_is_plain_training(train, tmp_path, monkeypatch):
    records = longer_word_wins(40)
    assert train("packed", records).packed
    monkeypatch.setattr("rewards.training.fitting.can_pack", lambda *_: False)
    assert not train("plain", records).packed
    ours, theirs = (
        [line["loss"] for line in metrics(tmp_path / m) if "loss" in line] for m in ("packed", "plain")
    )
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_ranking_of_two_is_a_pair(train, tmp_path):
    pairs = longer_word_wins(30)
    rankings = [Ranking(one.prompt, (one.rejected, one.chosen), (2, 1)) for one in pairs]
    train("pairs", pairs)
    train("rankings", rankings)
    ours, theirs = (
        [line["loss"] for line in metrics(tmp_path / m) if "loss" in line] for m in ("pairs", "rankings")
    )
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_rankings_of_many_are_learnt(train):
    records = [
        Ranking(f"Say a word, {place}:", tuple(" " + word for word in WORDS[1::2]), (4, 3, 2, 1))
        for place in range(60)
    ]
    assert train("model", records, dataclasses.replace(QUICK, epochs=4.0)).evaluation["eval_accuracy"] > 0.9


def test_margins_count_only_where_asked(train, tmp_path):
    records = [dataclasses.replace(one, margin=2.0) for one in longer_word_wins(30)]
    for name, on in (("off", False), ("on", True)):
        train(name, records, dataclasses.replace(QUICK, margin=on, max_steps=1, evaluation_share=0.0))
    off, on = (metrics(tmp_path / name)[0]["loss"] for name in ("off", "on"))
    assert off == pytest.approx(math.log(2), abs=0.3)
    assert on == pytest.approx(math.log1p(math.exp(2)), abs=0.3)


def test_early_stopping_keeps_the_weights_of_the_lowest_held_out_loss(train, tmp_path):
    # Held-out labels are the wrong way round, so that each update makes them worse.
    records = longer_word_wins(64)
    against = [dataclasses.replace(one, prompt="Now " + one.prompt).swap() for one in longer_word_wins(20)]
    config = dataclasses.replace(QUICK, early_stopping=2, evaluation_steps=1, epochs=5.0)
    result = train("model", records, config, against)
    losses = [line["eval_loss"] for line in metrics(tmp_path / "model") if "eval_loss" in line]
    best = losses.index(min(losses)) + 1
    assert result.steps == len(losses) == best + 2  # patience ran out
    assert result.evaluation["eval_loss"] == pytest.approx(min(losses), abs=1e-6)
    model = scorer(tmp_path / "model")
    margins = np.subtract(
        *(
            model.logits([Generation(r.prompt, getattr(r, side)) for r in against])
            for side in ("chosen", "rejected")
        )
    )
    assert np.log1p(np.exp(-margins)).mean() == pytest.approx(min(losses), abs=1e-5)


def test_adapters_train_resume_and_keep_the_best(train, tmp_path):
    records = longer_word_wins(64)
    config = dataclasses.replace(
        QUICK,
        lora=LoraConfig(rank=4, alpha=8),
        evaluation_steps=2,
        early_stopping=3,
        learning_rate=1e-2,
        epochs=2.0,
    )
    losses = []
    for merge in (True, False):
        settings = dataclasses.replace(config, lora=dataclasses.replace(config.lora, merge=merge))
        result = train(str(merge), records, settings)
        losses.append(result.evaluation["eval_loss"])
        values = [
            one.value
            for one in scorer(tmp_path / str(merge)).score([Generation(r.prompt, r.chosen) for r in records])
        ]
        assert np.std(values) > 0
    assert losses[0] == losses[1] < 0.6
    first, second = (
        scorer(tmp_path / name).logits([Generation(r.prompt, r.chosen) for r in records[:9]])
        for name in ("True", "False")
    )
    assert first == pytest.approx(second, rel=1e-4, abs=1e-4)


def test_contradictions_are_refused(train):
    records = longer_word_wins(20)
    with pytest.raises(ConfigError, match="not a multiple of 3"):
        train("a", records, dataclasses.replace(QUICK, micro_batch_prompts=3))
    with pytest.raises(ConfigError, match="checkpoint_steps is evaluation_steps, 2; got 4"):
        train(
            "b", records, dataclasses.replace(QUICK, early_stopping=1, evaluation_steps=2, checkpoint_steps=4)
        )
    with pytest.raises(ConfigError, match="early_stopping needs held-out prompts"):
        train("c", records, dataclasses.replace(QUICK, early_stopping=1, evaluation_share=0))
    with pytest.raises(DataError, match="nothing to evaluate on"):
        train("c", records, held_out=[])
    with pytest.raises(DataError, match="1 held-out prompts are also trained on"):
        train("d", records, held_out=records[:1])
    with pytest.raises(DataError, match="nothing to train on"):
        train("e", [], dataclasses.replace(QUICK, evaluation_share=0.0))
    with pytest.raises(ConfigError, match=r"lora\.targets 'nonsense'"):
        train("f", records, dataclasses.replace(QUICK, lora=LoraConfig(rank=2, targets="nonsense")))


def test_the_learning_rate_left_open_depends_on_whether_the_body_is_new(base, tmp_path):
    records, config = longer_word_wins(20), dataclasses.replace(QUICK, learning_rate=0.0, max_steps=3)
    new = BodyConfig(tokenizer=str(base), hidden_size=16, heads=2, layers=1, context=64)
    for name, body, expected in (("old", BodyConfig(name=str(base)), 1e-5), ("new", new, 1e-3)):
        classifier, tokenizer = make_body(body, 0)
        out = tmp_path / name
        out.mkdir()
        result = fit_outcome(
            RewardModel(classifier), Encoder(tokenizer, True, 64), records, None, config, out
        )
        used = [line["learning_rate"] for line in metrics(out) if "learning_rate" in line]
        assert result.learning_rate == max(used) == expected
        assert read_sidecar(str(out)).trained_on["training"]["learning_rate"] == expected


def test_over_long_held_out_records_are_counted(train):
    long = Preference("Say a word " * 40, " sky", " a")
    never = Preference("Say it", " scatter" * 90, " a")
    held_out = [*(dataclasses.replace(one, prompt="Now") for one in longer_word_wins(3)), long, never]
    result = train("model", longer_word_wins(20), dataclasses.replace(QUICK, max_steps=1), held_out)
    assert (result.held_out_truncated, result.held_out_dropped, result.held_out_prompts) == (1, 1, 4)
    assert (result.truncated, result.dropped) == (0, 0)


def test_training_says_nothing_that_helps_nobody(train, capfd):
    settings = dataclasses.replace(
        QUICK, lora=LoraConfig(rank=2), early_stopping=9, evaluation_steps=1, max_steps=4
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train("model", longer_word_wins(20), settings)
    assert "[transformers]" not in capfd.readouterr().err
