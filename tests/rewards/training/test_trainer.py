"""Progress of training: nothing of a short one, lines with the loss in a log file of a long one."""

import io
import re
from contextlib import ExitStack
from itertools import count

import pytest
from transformers import TrainerControl, TrainerState

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.models.outcome import RewardModel
from rewards.records import Preference
from rewards.training import fit_outcome
from rewards.training.trainer import ShowProgress

CONFIG = TrainingConfig(max_steps=6, batch_prompts=2, evaluation_share=0, tensorboard=False)


@pytest.fixture
def fit(make_classifier, make_tokenizer, tmp_path):
    """Return a function that trains for six updates."""
    records = [Preference(f"Word {number}:", " everything", " a") for number in range(12)]
    encoder = Encoder(make_tokenizer(), True, 64)
    return lambda: fit_outcome(RewardModel(make_classifier()), encoder, records, None, CONFIG, tmp_path / "m")


def clock_of(monkeypatch, seconds):
    """Let each look at the clock find it some seconds on."""
    times = count(0, seconds)
    monkeypatch.setattr("rewards.progress.time.monotonic", lambda: next(times))


def test_a_short_training_writes_nothing(fit, capsys):
    fit()
    assert capsys.readouterr().err == ""


def test_a_log_of_a_long_training_has_lines_with_the_loss(fit, capsys, monkeypatch):
    clock_of(monkeypatch, 31.0)
    fit()
    lines = capsys.readouterr().err.splitlines()
    counts = [re.match(r"training: (\d) of 6 updates, \d+%, ", line)[1] for line in lines]
    assert counts == list("123456")
    assert all(re.search(r", loss \d\.\d{4}$", line) for line in lines)


def test_a_terminal_has_a_bar_that_goes_when_training_fails(fit, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    fail = KeyError("in the middle")

    def broken(*_, **__):
        raise fail

    monkeypatch.setattr("rewards.training.trainer.ShowProgress.on_log", broken)
    with pytest.raises(KeyError):
        fit()
    shown = terminal.getvalue()
    assert "training" in shown
    assert "0/6" in shown
    assert shown.endswith("\x1b[2K")  # the bar's line is wiped


def test_a_resumed_training_counts_from_where_it_goes_on_and_one_process_of_many_shows_it(
    monkeypatch, capsys
):
    clock_of(monkeypatch, 31.0)
    for first in (True, False):
        state = TrainerState(max_steps=10, global_step=4, is_world_process_zero=first)
        with ExitStack() as stack:
            shown = ShowProgress(stack)
            shown.on_train_begin(None, state, TrainerControl())
            state.global_step = 5
            shown.on_log(None, state, TrainerControl(), {"eval_loss": 1.0})
            shown.on_log(None, state, TrainerControl(), {"loss": 0.25})
        told = capsys.readouterr().err
        assert told.startswith("training: 5 of 10 updates, 50%") == first
        assert told.endswith("loss 0.2500\n") == first
