import json
import runpy
import signal
import time
from contextlib import contextmanager

import pytest
import torch

from rewards.config import BodyConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import OutputExistsError
from rewards.models.bodies import make_classifier as make_body
from rewards.models.outcome import RewardModel
from rewards.records import Preference
from rewards.training import fit_outcome
from rewards.training.fitting import last_complete
from rewards.training.trainer import PackedTrainer
from tests.processes import Forked


@pytest.fixture(scope="module")
def base(tmp_path_factory, make_classifier, make_tokenizer):
    folder = tmp_path_factory.mktemp("base")
    make_classifier(spread=0.08).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_torn_checkpoint_is_removed_and_an_older_whole_one_taken(tmp_path):
    for step, text in (
        (9, '{"global_step": 9}'),
        (10, '{"global_step": 10}'),
        (20, '{"global_st'),
        (30, None),
    ):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if text:
            (folder / "trainer_state.json").write_text(text)
    assert last_complete(tmp_path) == str(tmp_path / "checkpoint-10")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]
    assert last_complete(tmp_path / "nowhere") is None


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from rewards.config import BodyConfig, LoraConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import OutputExistsError
from rewards.models.bodies import make_classifier
from rewards.models.outcome import RewardModel
from rewards.records import Preference
from rewards.training import fit_outcome

def train(base, out, lora):
    torch.set_num_threads(1)
    config = TrainingConfig(
        learning_rate=1e-3, batch_prompts=4, micro_batch_prompts=2, max_steps=25, checkpoint_steps=5,
        evaluation_steps=5, early_stopping=99, tensorboard=False, dropout=True,
        lora=LoraConfig(rank=2 if lora else 0, dropout=0.1),
    )
    words = ["a", "sky", "light", "redness!", "everything"]
    generator = np.random.default_rng(0)
    pairs = [sorted(generator.choice(5, 2, replace=False)) for _ in range(50)]
    records = [Preference(f"Word {n}:", " " + words[b], " " + words[a]) for n, (a, b) in enumerate(pairs)]
    model, tokenizer = make_classifier(BodyConfig(name=base), 0)
    Path(out).mkdir(exist_ok=True)
    return fit_outcome(RewardModel(model), Encoder(tokenizer, True, 64), records, None, config, out)

if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], lora=False)
"""


def kill_in_the_middle(script, base, out):
    """Run training in a process of its own and kill it after its second checkpoint."""
    process = Forked(script.read_text(), str(base), str(out))
    second = out / "checkpoints" / "checkpoint-10" / "trainer_state.json"
    later = out / "checkpoints" / "checkpoint-15"
    while process.poll() is None and not second.exists() and not later.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, process.completed().stderr


class KilledError(Exception):
    """Stands for a signal, where a process of its own would take too long."""


@contextmanager
def dies_after(step):
    """Let training end as by a signal once it has saved a checkpoint at this step."""
    save = PackedTrainer._save_checkpoint

    def save_and_die(self, *arguments):
        save(self, *arguments)
        if self.state.global_step == step:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackedTrainer, "_save_checkpoint", save_and_die)
        with pytest.raises(KilledError):
            yield


@pytest.mark.parametrize("lora", [False, True])
def test_a_killed_run_goes_on_to_the_same_weights(base, tmp_path, lora):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    train = runpy.run_path(str(script))["train"]
    (tmp_path / "killed").mkdir()
    if lora:
        with dies_after(10):
            train(str(base), str(tmp_path / "killed"), lora)
    else:
        kill_in_the_middle(script, base, tmp_path / "killed")
    saved = sorted((tmp_path / "killed" / "checkpoints").glob("checkpoint-*/trainer_state.json"))
    assert saved
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    resumed = train(str(base), str(tmp_path / "killed"), lora)
    undisturbed = train(str(base), str(tmp_path / "whole"), lora)
    assert resumed == undisturbed
    ours, theirs = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole"))
    assert ours == theirs
    assert (tmp_path / "killed" / "evalkit.json").read_text() == (
        tmp_path / "whole" / "evalkit.json"
    ).read_text()
    for name in ("killed", "whole"):
        lines = metrics(tmp_path / name)
        assert [line["step"] for line in lines if "loss" in line] == list(range(1, 26))
        assert [line["step"] for line in lines if "eval_loss" in line] == list(range(5, 26, 5))


def test_only_the_same_call_resumes_checkpoints(base, tmp_path):
    records = [Preference(f"Word {n}:", " everything", " a") for n in range(12)]

    def train(records, seed=0, **changes):
        config = TrainingConfig(**{"max_steps": 6, "checkpoint_steps": 2, "tensorboard": False} | changes)
        model, tokenizer = make_body(BodyConfig(name=str(base)), seed)
        with torch.no_grad():
            model.score.weight += seed
        return fit_outcome(RewardModel(model), Encoder(tokenizer, True, 64), records, None, config, tmp_path)

    with dies_after(2):
        train(records)
    for changed in ((records[1:], 0, {}), (records, 1, {}), (records, 0, {"learning_rate": 1e-2})):
        with pytest.raises(OutputExistsError, match="other data, settings or start weights"):
            train(changed[0], changed[1], **changed[2])
    assert train(records).steps == 6


@pytest.mark.parametrize(("killed_at", "steps"), [(2, 4), (3, 4), (4, 5)])
def test_patience_goes_on_where_it_was(base, tmp_path, killed_at, steps):
    # Held-out labels are the wrong way round, so that only the first evaluation is a best one.
    records = [Preference(f"Word {n}:", " everything" * 2, " a") for n in range(40)]
    against = [Preference(f"Say {n}:", " a", " everything" * 2) for n in range(6)]
    config = TrainingConfig(
        learning_rate=1e-3,
        batch_prompts=4,
        early_stopping=3,
        evaluation_steps=1,
        tensorboard=False,
        schedule="constant",
    )

    def train(name):
        torch.set_num_threads(1)
        model, tokenizer = make_body(BodyConfig(name=str(base)), 0)
        (tmp_path / name).mkdir(exist_ok=True)
        encoder = Encoder(tokenizer, True, 64)
        return fit_outcome(RewardModel(model), encoder, records, against, config, tmp_path / name)

    whole = train("whole")
    assert whole.steps == 4
    with dies_after(killed_at):
        train("killed")
    resumed = train("killed")
    assert resumed.steps == steps  # one more where it had stopped already, which the best weights replace
    assert resumed.evaluation == whole.evaluation
    ours, theirs = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole"))
    assert ours == theirs
