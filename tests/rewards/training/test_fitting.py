"""Reward models from Python, as in a notebook: records, a model, a fit, and the scores of what it left."""

import pytest

from rewards import Generation, Preference, Span, SpanLabels, StepLabels, load_scorer
from rewards.config import ProcessConfig
from rewards.errors import DataError
from rewards.training import (
    AspectsTrainingConfig,
    BodyConfig,
    CorrectnessTrainingConfig,
    GradedSolution,
    Labelled,
    ProcessTrainingConfig,
    TrainingConfig,
    aspect_names,
    fit_aspects,
    fit_correctness,
    fit_outcome,
    fit_process,
    start_aspects,
    start_correctness,
    start_outcome,
    start_process,
)

CONFIG = TrainingConfig(epochs=4, batch_prompts=8, learning_rate=1e-2, tensorboard=False)


@pytest.fixture
def body(make_tokenizer, tmp_path):
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    tokenizer = str(tmp_path / "tokenizer")
    return BodyConfig(tokenizer=tokenizer, hidden_size=32, layers=1, heads=2, context=64)


def test_preferences_to_a_reward_model_to_scores(body, tmp_path):
    preferences = [Preference(f"Word {n}:", " everything", " a") for n in range(60)]
    model, encoder = start_outcome(body, CONFIG)
    result = fit_outcome(model, encoder, preferences, None, CONFIG, str(tmp_path / "reward"))
    assert result.evaluation["eval_accuracy"] == 1.0
    assert (result.train_prompts, result.held_out_prompts) == (54, 6)
    scorer = load_scorer(str(tmp_path / "reward"))
    better, worse = scorer.score([Generation("Word 99:", " everything"), Generation("Word 99:", " a")])
    assert better.value > worse.value


def test_labelled_steps_to_a_process_reward_model_to_scores(body, tmp_path):
    solutions = [StepLabels(f"Sum {n}?\n", ("good", "bad"), (1.0, 0.0)) for n in range(40)]
    config = ProcessTrainingConfig(ProcessConfig(separator="\n", calibrate=False), CONFIG)
    model, encoder = start_process(body, config)
    fit_process(model, encoder, solutions, None, config, tmp_path / "reward")
    (score,) = load_scorer(str(tmp_path / "reward")).score([Generation("Sum 9?\n", "good\nbad\n")])
    assert score.steps[0] > 0.5 > score.steps[1]


def test_graded_solutions_to_a_reward_model_to_scores(body, tmp_path):
    solutions = [
        GradedSolution(Generation(f"Sum {n // 2}?", (" good", " bad")[n % 2]), 1 - n % 2) for n in range(80)
    ]
    config = CorrectnessTrainingConfig(tokens="last", training=CONFIG)
    model, encoder = start_correctness(body, config)
    fit_correctness(model, encoder, solutions, None, config, tmp_path / "reward")
    scorer = load_scorer(str(tmp_path / "reward"))
    right, wrong = scorer.score([Generation("Sum 9?", " good"), Generation("Sum 9?", " bad")])
    assert right.value > wrong.value


def test_labelled_aspects_to_a_reward_model_to_scores(body, tmp_path):
    responses = [
        SpanLabels(f"Word {n}:", (" everything", " a")[n % 2], (Span(0, 1, "length", 9.0 - 8 * (n % 2)),))
        for n in range(80)
    ]
    config = AspectsTrainingConfig(training=CONFIG)
    model, encoder = start_aspects(body, config, aspect_names(responses, config.aspects))
    fit_aspects(model, encoder, responses, None, config, tmp_path / "reward")
    scorer = load_scorer(str(tmp_path / "reward"))
    long, short = scorer.score([Generation("Word 9:", " everything"), Generation("Word 9:", " a")])
    assert long.aspects["length"] > short.aspects["length"]


def test_errors_call_records_by_the_names_they_are_given(body, tmp_path):
    long = [Preference("Why?", " everything" * 99, " a")]
    config = TrainingConfig(over_long="error")
    model, encoder = start_outcome(body, config)
    with pytest.raises(DataError, match=r"^record 1: has a row of \d+ tokens"):
        fit_outcome(model, encoder, long, None, config, tmp_path / "reward")
    with pytest.raises(DataError, match=r"^pairs.jsonl:7: has a row of \d+ tokens"):
        fit_outcome(model, encoder, Labelled(long, ["pairs.jsonl:7"]), None, config, tmp_path / "reward")
    assert not (tmp_path / "reward").exists()
    with pytest.raises(ValueError, match="2 names of 1 records"):
        Labelled(long, ["pairs.jsonl:7", "pairs.jsonl:8"])
