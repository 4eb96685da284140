"""Transformers' Trainer over packed rows, and its callbacks: early stopping, progress, metrics."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from rewards.config import TrainingConfig
from rewards.errors import ConfigError, ModelError, TrainingError
from rewards.models.head import HeadedModel
from rewards.progress import Progress, progress
from rewards.training.examples import TrainingSplit

METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
ARGUMENTS = "arguments.txt"
"""In a checkpoint: a hash of what its run was begun with."""


def training_arguments(
    config: TrainingConfig, prompts: int, evaluates: bool, folder: Path, probe_every: int | None = None
) -> TrainingArguments:
    """Translate our training settings into those of Trainer.

    Args:
        config: The training settings.
        prompts: Batch elements to train on.
        evaluates: Whether there are held-out examples.
        folder: Where checkpoints go.
        probe_every: Updates between a probe's measurements, 0 for ten in the run; None without a probe.

    Raises:
        ConfigError: Settings that contradict each other.
    """
    micro = config.micro_batch_prompts or config.batch_prompts
    if config.batch_prompts % micro:
        raise ConfigError(f"batch_prompts {config.batch_prompts} is not a multiple of {micro}")
    total = config.max_steps or math.ceil(math.ceil(prompts / config.batch_prompts) * config.epochs)
    tenth = max(1, total // 10)
    every = config.evaluation_steps or probe_every or tenth
    stops = bool(config.early_stopping)
    saves = config.checkpoint_steps or (every if stops else tenth)
    if stops and saves != every:
        raise ConfigError(
            f"early_stopping keeps the best of the weights it evaluates, so that checkpoint_steps is "
            f"evaluation_steps, {every}; got {saves}"
        )
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        # The last update is never one of warm-up, whose first has learning rate 0 and would change nothing.
        warmup_steps=min(math.ceil(total * config.warmup_ratio), total - 1),
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch_prompts // micro,
        max_grad_norm=config.max_gradient_norm,
        bf16=config.dtype == "bfloat16",
        use_cpu=not torch.accelerator.is_available(),  # without it bf16 on a processor is refused
        eval_strategy="steps" if evaluates or probe_every is not None else "no",
        eval_on_start=probe_every is not None,
        eval_steps=every,
        save_strategy="steps",
        save_steps=saves,
        save_total_limit=2,
        load_best_model_at_end=stops,
        metric_for_best_model="eval_loss" if stops else None,
        greater_is_better=False if stops else None,
        restore_callback_states_from_checkpoint=stops,
        logging_steps=1,
        report_to=[],  # TensorBoard is given its folder by PackedTrainer
        disable_tqdm=True,  # `ShowProgress` shows how far it is
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_nan_inf_filter=False,  # a loss that is no number is to be seen
        seed=config.seed,
        data_seed=config.seed,
    )


E = TypeVar("E")
X = TypeVar("X", contravariant=True)


class Objective(Protocol[X]):
    """A training objective: collates examples into a batch, and computes losses and metrics."""

    @property
    def tallies_training(self) -> bool:
        """Whether the metrics of every update are logged too.

        They cover the batches of this process, before the update, and are named `train_...`, the held-out
        ones `eval_...`.
        """
        ...

    def collate(self, examples: Sequence[X], packed: bool) -> dict[str, Any]:
        """Return a batch. Its `items`, a scalar tensor, is the divisor of the update's loss."""
        ...

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return losses that sum to the batch's loss times its items, and the model's raw outputs."""
        ...

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return sums over a batch, from which `metrics` are made."""
        ...

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return metrics from the sums over all batches, where they are defined, each named `eval_...`."""
        ...


class Probe(Protocol):
    """Measures a model while it trains, and may end the training."""

    @property
    def every(self) -> int:
        """Updates between measurements; 0 measures ten times in the run."""
        ...

    @property
    def stops(self) -> bool:
        """Whether training is to end."""
        ...

    def resume(self, step: int) -> None:
        """Resume a run after `step` updates; `stops` then reflects the measurements up to there."""
        ...

    def measure(self, model: HeadedModel, step: int) -> Mapping[str, float]:
        """Return metrics of the model after `step` updates; for a measured step, the recorded ones."""
        ...


class EarlyStop(EarlyStoppingCallback):
    """Early stopping that also holds for a run killed after it stopped and then resumed."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Stop after one update, which the best weights replace."""
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class ShowProgress(TrainerCallback):
    """Shows the progress of training and the loss: a bar on a terminal, elsewhere a line now and then.

    Args:
        open_until: Closes the bar, however training ends.
    """

    def __init__(self, open_until: ExitStack) -> None:
        self._stack = open_until
        self._shown: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Open the bar, at the update that training goes on from."""
        if state.is_world_process_zero:
            shown = progress("training", state.max_steps, done=state.global_step, unit="updates")
            self._shown = self._stack.enter_context(shown)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Count an update, whose loss is logged."""
        if self._shown is not None and logs and "loss" in logs:
            self._shown.advance(state.global_step - self._shown.done, f"loss {logs['loss']:.4f}")


class MetricsFile(TrainerCallback):
    """Appends logged metrics to `metrics.jsonl`; a resumed run removes lines that it will log again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Cut the file after the step that training resumes from."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [
                line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state.global_step
            ]
            self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero and logs:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class PackedTrainer(Trainer, Generic[E]):
    """Trains a reward model on examples of one objective; its checkpoints hold the hash `arguments`."""

    def __init__(
        self,
        model: HeadedModel,
        objective: Objective[E],
        split: TrainingSplit[E],
        config: TrainingConfig,
        out: Path,
        *,
        packed: bool,
        probe: Probe | None = None,
        arguments: str = "",
    ) -> None:
        evaluates, every = bool(split.held_out), probe.every if probe else None
        settings = training_arguments(config, len(split.train), evaluates, out / CHECKPOINTS, every)
        self.packed = packed
        self.arguments = arguments
        self.probe = probe
        self.objective: Objective[E] = objective
        self.reward_model = model
        self.evaluation = list(split.held_out)
        self._training_sums: Counter[str] = Counter()
        callbacks: list[TrainerCallback] = [MetricsFile(out / METRICS)]
        if config.early_stopping:
            callbacks.append(EarlyStop(early_stopping_patience=config.early_stopping))
        if config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter
            from transformers.integrations.integration_utils import TensorBoardCallback

            writer = SummaryWriter(str(out / "tensorboard"))
            callbacks.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]  # Transformers' own
        if config.gradient_checkpointing:
            # Trainer handles its own classes alone. If the newer name exists, the older one warns.
            older = "gradient_checkpointing_enable"
            enable: Any = getattr(model.inner, "activation_checkpointing_enable", getattr(model.inner, older))
            enable({"use_reentrant": False})
        super().__init__(
            model=model,
            args=settings,
            train_dataset=list(split.train),
            eval_dataset=self.evaluation or ([] if probe else None),
            data_collator=self.collate,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # metrics.jsonl has every line
        # The loss is a sum over items, divided by the update's number of items below.
        self.model_accepts_loss_kwargs = True

    def collate(self, examples: Sequence[E]) -> dict[str, Any]:
        """Return a batch of examples; the tensors are small, the packs are numpy."""
        return self.objective.collate(examples, self.packed)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Return the batch's share of the update's mean loss over items."""
        losses, outputs = self.objective.losses(model, inputs)
        if self.objective.tallies_training:
            self._training_sums.update(self.objective.tally(inputs, outputs.detach()))
        items = num_items_in_batch if num_items_in_batch is not None else inputs["items"]
        # Gradients are averaged over processes, and the items are counted over all of them.
        loss = (
            losses.sum() / items * (self.accelerator.num_processes if num_items_in_batch is not None else 1)
        )
        return (loss, outputs) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor:
        items = torch.stack([batch["items"] for batch in batch_samples]).sum().to(device)
        return self.accelerator.gather(items).sum() if self.accelerator.num_processes > 1 else items

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the mean loss and the objective's metrics on the held-out examples."""
        self.reward_model.eval()
        total, items = 0.0, 0.0
        sums: Counter[str] = Counter()
        size = self.args.per_device_train_batch_size
        for start in range(0, len(self.evaluation), size):
            inputs = self._prepare_inputs(self.collate(self.evaluation[start : start + size]))
            with self.accelerator.autocast():
                losses, outputs = self.objective.losses(self.reward_model, inputs)
            total += float(losses.sum())
            items += float(inputs["items"])
            sums.update(self.objective.tally(inputs, outputs))
        loss = {"eval_loss": total / items} if items else {}
        seen = self.probe.measure(self.reward_model, self.state.global_step) if self.probe else {}
        return {**loss, **(self.objective.metrics(sums) if items else {}), **seen}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the objective's metrics of the update; stop where the loss or gradient is not finite.

        Raises:
            TrainingError: The loss or the gradient is not finite; the last checkpoint is from before.
        """
        if "loss" in logs and self._training_sums:
            own = self.objective.metrics(self._training_sums)
            logs = {**logs, **{f"train_{name.removeprefix('eval_')}": value for name, value in own.items()}}
            self._training_sums.clear()
        super().log(logs, start_time)
        for name in ("loss", "grad_norm", "eval_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise TrainingError(
                    f"update {self.state.global_step}: the {name.replace('grad_norm', 'gradient')} is "
                    f"{logs[name]}, so that training ends here; the last checkpoint is kept, and a new run "
                    "with a smaller training.learning_rate may go further"
                )

    def stopped_at(self, checkpoint: str, probe: Probe) -> bool:
        """Return whether the run had ended at a checkpoint; its weights are then final.

        Args:
            checkpoint: The checkpoint's folder.
            probe: The probe that may end runs.
        """
        state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
        probe.resume(state.global_step)
        if probe.stops:
            self._load_from_checkpoint(checkpoint)
            self.state = state
        return probe.stops

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Measure, log, and tell the callbacks, as Trainer's own evaluation does."""
        metrics = self.measure()
        self.log(metrics)
        if self.probe and self.probe.stops:
            self.control.should_training_stop = True
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the trained weights, without the frozen base under adapters, and the hash of the arguments."""
        state = state_dict if state_dict is not None else self.reward_model.state_dict()
        places = {name: (weight.data_ptr() or name, weight.shape) for name, weight in state.items()}
        first = {place: name for name, place in reversed(places.items())}
        state = {name: weight for name, weight in state.items() if first[places[name]] == name}
        trained = {name for name, weight in self.reward_model.named_parameters() if weight.requires_grad}
        if len(trained) < len(list(self.reward_model.parameters())):
            state = {name: weight for name, weight in state.items() if name in trained}
        super()._save(output_dir, state_dict=state)
        folder = Path(output_dir or str(self.args.output_dir))
        (folder / ARGUMENTS).write_text(self.arguments, encoding="utf-8")

    def _issue_warnings_after_load(self, load_result: Any) -> None:  # noqa: ANN401  # torch has no public type
        """Accept a checkpoint without frozen weights, as `_save` leaves them out."""
        trained = {name for name, weight in self.reward_model.named_parameters() if weight.requires_grad}
        lost = sorted({*trained.intersection(load_result.missing_keys), *load_result.unexpected_keys})
        if lost:
            raise ModelError(f"{self.args.output_dir}: a checkpoint of another model; {lost[0]} differs")
