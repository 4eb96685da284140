"""Rounds of PPO against TRL 1.12's PPOTrainer: their speed, and what both make of the same responses."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from evalkit.cli import main
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.losses import generalized_advantages, whiten
from evalkit.policies.ppo.critic import load_critic
from evalkit.policies.probe.prompts import scores_of
from evalkit.policies.reference import load_reference
from evalkit.policies.rollout.round_log import RoundLog
from evalkit.policies.rollout.token_credit import Written
from rewards.records import Generation
from rewards.scorer import load_scorer
from tests.benchmarks.conftest import write_results
from tests.rewards.training.prm_peer import trl_folder

VOCABULARY, PAD, END = 512, 0, 1
SETTINGS: dict[str, Any] = {
    "buffer": 256,
    "batch": 64,
    "forward": 64,
    "epochs": 4,
    "length": 32,
    "rounds": 5,
    "learning_rate": 1e-6,  # so small that responses stay as long as they are
    "kl": 0.05,
    "value_clip": 0.2,
    "threads": 2,
    "seed": 0,
}
CASES = {
    "32 tokens, 1 to a prompt": (0.0, 1),
    "up to 32 tokens, 1 to a prompt": (1.0, 1),
    "up to 32 tokens, 4 to a prompt": (1.0, 4),
}
"""How likely responses end, and how many there are to a prompt."""
REPEATS = 2
CRITICS = {"evalkit, critic of its own": "scorer", "evalkit, critic shared": "shared"}
PEER = "TRL 1.12 PPOTrainer"


@dataclass
class Times:
    """When the rounds of a run ended, and how long their responses were."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)

    def rates(self, samples: int) -> tuple[float, float]:
        """Samples in a wall second and in a processor second, over the rounds after the first."""
        rounds = len(self.wall) - 1
        return tuple(samples * rounds / (one[-1] - one[0]) for one in (self.wall, self.processor))  # type: ignore[return-value]


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"<pad>": PAD, "</s>": END, **{f"w{number}": number for number in range(2, VOCABULARY)}}
    fast = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="<pad>", eos_token="</s>")


def write_models(folder: Path, ending: float) -> dict[str, str]:
    """A policy and a reward model of 0.8 million weights each; the policy never writes what pads.

    `ending` moves how likely a response ends at a token: 0 is 1 of 500, 1 about 1 of 20.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
        num_labels=1,
    )
    policy: Any = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        # One coordinate is the same for all tokens, and tells the head how likely it is to end, and to leave
        # the padding out: TRL takes a response to end where it stands.
        policy.model.embed_tokens.weight[:, 0] = 0.5
        policy.lm_head.weight[:, 0] = 0.0
        policy.lm_head.weight[PAD, 0] = -20.0
        policy.lm_head.weight[END, 0] = ending
    reward: Any = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        reward.score.weight *= 5  # rewards of about a unit's spread
    found = {}
    for name, model in (("policy", policy), ("scorer", reward)):
        model.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
        found[name] = str(folder / name)
    return found


def prompts() -> list[str]:
    """Of 8-16 tokens."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(2, VOCABULARY, rng.integers(8, 17)) for _ in range(1025)]
    return [" ".join(f"w{number}" for number in row) for row in rows]


def theirs(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Rounds by TRL 1.12, in a process of its own."""
    path = folder / "job.json"
    told = {**job, "out": str(folder / "out"), "found": str(folder / "found.json")}
    path.write_text(json.dumps(told), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ppo_peer.py")), str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": trl_folder(), "TRL_EXPERIMENTAL_SILENCE": "1"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def ours(job: dict[str, Any], data: Path, out: Path, critic: str, monkeypatch: pytest.MonkeyPatch) -> Times:
    """Rounds by the command, its writing of metrics included."""
    times = Times()
    write = RoundLog.write

    def stamp(self: RoundLog, metrics: dict[str, Any]) -> None:
        write(self, metrics)
        times.wall.append(time.perf_counter())
        times.processor.append(time.process_time())
        times.lengths.append(metrics["rollout_length"])

    torch.set_num_threads(job["threads"])
    options = {
        "policy": job["policy"],
        "data": data,
        "scorer": job["scorer"],
        "critic": critic,
        "out": out,
        "tensorboard": "false",
        "probe.prompts": 1,
        "probe.every": 1_000_000,  # beside the start and the end
        "probe.max_new_tokens": job["length"],
        "ppo.episodes": job["buffer"] * job["rounds"],
        "ppo.buffer": job["buffer"],
        "ppo.batch": job["batch"],
        "ppo.samples": job["samples"],
        "ppo.epochs": job["epochs"],
        "ppo.max_new_tokens": job["length"],
        "ppo.learning_rate": job["learning_rate"],
        "ppo.kl_coefficient": job["kl"],
        "ppo.value_clip": job["value_clip"],
        "ppo.seed": job["seed"],
        "ppo.checkpoint_rounds": job["rounds"],  # past the last time taken; TRL saves none
    }
    with monkeypatch.context() as patch:
        patch.setattr(RoundLog, "write", stamp)
        assert main(["train", "ppo", *(f"--{name}={value}" for name, value in options.items())]) in (None, 0)
    return times


@torch.no_grad()
def differences(job: dict[str, Any], first: dict[str, Any]) -> dict[str, float]:
    """How far ours are from what TRL computed of the responses of its first round, the largest of each.

    TRL pays the reward of a response that ended one token past its end, and reads it at the token that ends
    it, which no scorer of texts sees: rewards and returns are held together where a response was cut.
    """
    fast, context = tokenizer(), first["context"]
    mask = torch.tensor(first["mask"])
    lengths = mask.sum(1).tolist()
    asked = [[token for token in row[:context] if token != PAD] for row in first["query_responses"]]
    tokens = [row[context:][:length] for row, length in zip(first["query_responses"], lengths, strict=True)]
    rows = [[*one, *more] for one, more in zip(asked, tokens, strict=True)]
    starts = [len(one) for one in asked]

    def told(name: str) -> torch.Tensor:
        return torch.tensor(first[name])

    def far(mine: list[torch.Tensor], name: str) -> float:
        return float((torch.cat(mine) - told(name)[mask]).abs().max())

    reference = load_reference(job["policy"], fast, torch.device("cpu"))
    log_probs = reference.log_probs(rows, starts)
    critic = load_critic(job["scorer"], job["scorer"], fast, torch.device("cpu"), 0)
    texts = LocalPolicy(reference.model.inner, fast).texts
    written = [Written(one, more, "") for one, more in zip(asked, tokens, strict=True)]
    values = critic.row_values(critic.rows([""] * len(rows), written, texts, [""] * len(rows)), 64)
    cut = [number for number, row in enumerate(tokens) if row[-1] != END]
    scores = scores_of(
        load_scorer(job["scorer"]),
        [Generation(fast.decode(asked[number]), " " + fast.decode(tokens[number])) for number in cut],
        job["scorer"],
    )
    rewards = job["kl"] * (told("ref_logprobs") - told("logprobs"))[cut]
    rewards[:, -1] += torch.tensor([score.value for score in scores])
    found = generalized_advantages(rewards, told("values")[cut], mask[cut], 1.0, 0.95)
    advantages = whiten(told("returns") - told("values"), mask)
    return {
        "log_probs": far(log_probs, "ref_logprobs"),
        "values": far(values, "values"),
        "rewards": float((rewards - told("rewards")[cut]).abs().max()),
        "returns": float((found.returns - told("returns")[cut]).abs().max()),
        "advantages": float((advantages - told("advantages"))[mask].abs().max()),
    }


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_ppo_against_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = []
    for number, (case, (ending, samples)) in enumerate(CASES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        asked = prompts()
        job = {**SETTINGS, **write_models(folder, ending), "samples": samples}
        job["prompts"] = [prompt for prompt in asked for _ in range(samples)]
        data = folder / "prompts.jsonl"
        data.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in asked), encoding="utf-8")
        runs: dict[str, list[Times]] = {name: [] for name in (*CRITICS, PEER)}
        for repeat in range(REPEATS):
            found = theirs(job, folder)
            runs[PEER].append(Times(found["wall"], found["processor"], found["lengths"]))
            for name, critic in CRITICS.items():
                runs[name].append(ours(job, data, folder / f"{critic}-{repeat}", critic, monkeypatch))
        updates = json.loads((folder / "scorer-0" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
        assert found["steps"] == updates == job["rounds"] * job["epochs"] * job["buffer"] // job["batch"]
        far = differences(job, found["first"])
        assert max(far.values()) < 1e-3, far
        rates = {name: np.array([run.rates(job["buffer"]) for run in kind]) for name, kind in runs.items()}
        for name, kind in runs.items():
            (best, _), (median, processor) = rates[name].max(0), np.median(rates[name], 0)
            table.append(
                {
                    "responses": case,
                    "trainer": name,
                    "samples_per_second": round(float(median), 1),
                    "best": round(float(best), 1),
                    "samples_per_processor_second": round(float(processor), 1),
                    "against_trl": round(float(median / np.median(rates[PEER][:, 0])), 2),
                    "mean_tokens": round(float(np.mean([run.lengths[1:] for run in kind])), 1),
                    **{f"difference_{part}": f"{value:.0e}" for part, value in far.items()},
                }
            )
    write_results("ppo_training", table)
