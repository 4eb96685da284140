"""Where the metrics of a PPO run go: metrics.jsonl, TensorBoard, and a line that shows how far it is."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evalkit.runs.files import atomic_write
from rewards.training.trainer import METRICS


class PpoLog:
    """Takes each round's metrics; a resumed run takes back what it will measure again.

    Args:
        folder: The run's.
        tensorboard: Whether curves are written for TensorBoard.
    """

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.path = folder / METRICS
        self.tensorboard = folder / "tensorboard" if tensorboard else None
        self.terminal = Console(stderr=True)
        self._writer: Any = None
        columns = (
            TextColumn("rounds"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=self.terminal, transient=True, disable=not self.terminal.is_terminal
        )
        self._task = self._progress.add_task("", total=None, told="")

    def begin(self, done: int, rounds: int) -> None:
        """Cut the file after the round that the run goes on from.

        Args:
            done: That round.
            rounds: Rounds in all.
        """
        kept = [line for line in self.lines() if line["round"] <= done]
        with atomic_write(self.path) as file:
            file.write("".join(json.dumps(line) + "\n" for line in kept))
        if self.tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.tensorboard), purge_step=done + 1)
        self._progress.update(self._task, total=rounds, completed=done)
        self._progress.start()

    def write(self, metrics: dict[str, Any]) -> None:
        """Append a round."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        if self._writer is not None:
            for name, value in metrics.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name.replace("_", "/", 1), value, metrics["round"])
        told = f"reward {metrics['rollout_proxy']:.3g}, KL {metrics['rollout_kl']:.3g}"
        self._progress.update(self._task, completed=metrics["round"], told=told)

    def warn(self, text: str) -> None:
        """Print a sign of collapse."""
        self.terminal.print(f"Warning: {text}", highlight=False, markup=False, soft_wrap=True)

    def lines(self) -> list[dict[str, Any]]:
        """Return the rounds so far; a line that a kill cut off is none."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in text if line.endswith("}")]

    def close(self) -> None:
        """Let go of the file and the terminal."""
        self._progress.stop()
        if self._writer is not None:
            self._writer.close()
