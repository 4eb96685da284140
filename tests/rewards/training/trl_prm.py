"""TRL 1.12's PRMTrainer on a job of labelled steps, as a process of its own: `python trl_prm.py JOB.json`.

The folder of TRL 1.12.0 stands before the others in PYTHONPATH. The job names a model folder, rows,
separator, batch, steps, learning rate and seed. Printed are each step's loss and when it ended, in wall
and processor seconds.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer, TrainerCallback

warnings.simplefilter("ignore")
job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

import trl  # noqa: E402
from trl.experimental.prm import PRMConfig, PRMTrainer  # noqa: E402

assert trl.__version__ == "1.12.0", trl.__version__


class Stopwatch(TrainerCallback):
    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())


torch.set_num_threads(job["threads"])
watch = Stopwatch()
arguments = PRMConfig(
    output_dir=job["out"],
    learning_rate=job["learning_rate"],
    lr_scheduler_type="linear",
    warmup_steps=0,
    max_steps=job["steps"],
    per_device_train_batch_size=job["batch"],
    max_length=job["length"],
    step_separator=job["separator"],
    bf16=False,
    use_cpu=True,
    gradient_checkpointing=False,
    logging_steps=1,
    save_strategy="no",
    report_to=[],
    seed=job["seed"],
    data_seed=job["seed"],
    disable_tqdm=True,
    dataloader_pin_memory=False,
)
trainer = PRMTrainer(
    model=AutoModelForTokenClassification.from_pretrained(job["model"], dtype=torch.float32),
    args=arguments,
    train_dataset=Dataset.from_list(job["rows"]),
    processing_class=AutoTokenizer.from_pretrained(job["model"]),
    callbacks=[watch],
)
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps({"losses": losses, "wall": watch.wall, "processor": watch.processor}))  # noqa: T201
