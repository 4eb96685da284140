"""TRL 1.12's PPOTrainer on a job, as a process of its own: `python ppo_peer.py JOB.json`.

The folder of TRL 1.12.0 stands before the others in PYTHONPATH. The job names the folders of policy and
reward model, prompts, and the numbers of both trainers. Printed are when each round ended, in wall and
processor seconds, how long its responses were, and what the first round computed of its responses.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)

warnings.simplefilter("ignore")
job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

import trl  # noqa: E402
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer  # noqa: E402

assert trl.__version__ == "1.12.0", trl.__version__
wall: list[float] = []
processor: list[float] = []
lengths: list[float] = []
rounds: list[dict[str, Any]] = []
steps: list[int] = []
whiten = ppo_trainer.masked_whiten


class Stopwatch(TrainerCallback):
    def on_step_end(self, *_: object, **__: object) -> None:
        wall.append(time.perf_counter())
        processor.append(time.process_time())


def look_and_whiten(values: torch.Tensor, mask: torch.Tensor, **knobs: Any) -> torch.Tensor:
    """Whiten, and note what `train`, which calls it once a round, has computed by then."""
    found = sys._getframe(1).f_locals
    lengths.append(float(mask.sum(1).float().mean()))
    result = whiten(values, mask, **knobs)
    if not rounds:
        names = ("query_responses", "logprobs", "ref_logprobs", "values", "scores", "rewards", "returns")
        rounds.append({name: found[name].tolist() for name in names})
        rounds[0] |= {
            "mask": mask.tolist(),
            "advantages": result.tolist(),
            "context": found["context_length"],
        }
    return result


ppo_trainer.masked_whiten = look_and_whiten
torch.set_num_threads(job["threads"])
tokenizer = AutoTokenizer.from_pretrained(job["policy"], padding_side="left")
reward, value = (
    AutoModelForSequenceClassification.from_pretrained(job["scorer"], num_labels=1, dtype=torch.float32)
    for _ in range(2)
)
dataset = Dataset.from_list([{"input_ids": tokenizer(prompt)["input_ids"]} for prompt in job["prompts"]])
trainer = PPOTrainer(
    args=PPOConfig(
        output_dir=job["out"],
        total_episodes=job["buffer"] * job["rounds"],
        # Its Accelerator counts an optimiser step every gradient_accumulation_steps mini-batches, whatever
        # num_mini_batches says, so that the round is the batch and its mini-batches are the updates.
        per_device_train_batch_size=job["buffer"],
        gradient_accumulation_steps=1,
        num_mini_batches=job["buffer"] // job["batch"],
        local_rollout_forward_batch_size=job["forward"],
        num_ppo_epochs=job["epochs"],
        response_length=job["length"],
        stop_token="eos",
        temperature=1.0,
        learning_rate=job["learning_rate"],
        lr_scheduler_type="linear",
        kl_coef=job["kl"],
        cliprange_value=job["value_clip"],
        num_sample_generations=0,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=job["seed"],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    ),
    processing_class=tokenizer,
    model=AutoModelForCausalLM.from_pretrained(job["policy"], dtype=torch.float32),
    ref_model=AutoModelForCausalLM.from_pretrained(job["policy"], dtype=torch.float32),
    reward_model=reward,
    value_model=value,
    train_dataset=dataset,
    eval_dataset=dataset,
    callbacks=[Stopwatch()],
)
trainer.optimizer.optimizer.register_step_post_hook(lambda *_: steps.append(1))
trainer.train()
found = {"wall": wall, "processor": processor, "lengths": lengths, "steps": len(steps), "first": rounds[0]}
Path(job["found"]).write_text(json.dumps(found), encoding="utf-8")
