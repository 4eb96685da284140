"""Callbacks of training: early stopping, progress, the file of metrics."""

import json
from contextlib import ExitStack
from pathlib import Path

from transformers import (
    EarlyStoppingCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rewards.progress import Progress, progress


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
