import dataclasses
import math

import pytest

from evalkit.training.config import TrainOutcome
from rewards.config import BodyConfig, LoraConfig, ScoringConfig, TrainingConfig
from rewards.errors import ConfigError
from rewards.training.trainer import training_arguments

REQUIRED = {TrainOutcome: {"data": "d", "out": "o"}}
NEVER_ZERO = {"batch_tokens", "hidden_size", "layers", "heads", "context", "alpha", "epochs", "batch_prompts"}
BELOW = {"warmup_ratio": 1.01, "dropout": 1.0, "label_smoothing": 0.5, "evaluation_share": 1.0, "seed": 2**32}
NUMBERS = [
    (kind, setting.name)
    for kind in (ScoringConfig, BodyConfig, LoraConfig, TrainingConfig, TrainOutcome)
    for setting in dataclasses.fields(kind)
    if setting.type in (int, float)
]


def test_every_kind_of_setting_is_covered():
    assert {kind for kind, _ in NUMBERS} == {
        ScoringConfig,
        BodyConfig,
        LoraConfig,
        TrainingConfig,
        TrainOutcome,
    }
    assert {*BELOW, *NEVER_ZERO} <= {name for _, name in NUMBERS}


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_a_number_outside_its_range_is_refused_by_name(kind, name):
    def make(value):
        return kind(**REQUIRED.get(kind, {}), **{name: value})

    assert getattr(make(1 if name in NEVER_ZERO else 0), name) in (0, 1)
    outside = [-1, math.nan, math.inf, -math.inf]
    outside += [0] * (name in NEVER_ZERO) + ([BELOW[name]] if name in BELOW else [])
    for value in outside:
        with pytest.raises(ConfigError, match=rf"\b{name} is .*, got {value}$"):
            make(value)


@pytest.mark.parametrize(("updates", "warm"), [(1, 0), (2, 1), (100, 3)])
def test_warm_up_never_takes_the_last_update_whose_learning_rate_would_be_0(tmp_path, updates, warm):
    made = training_arguments(TrainingConfig(max_steps=updates), 10, False, tmp_path)
    assert made.warmup_steps == warm
