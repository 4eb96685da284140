"""Metrics of a run in rounds: metrics.jsonl, TensorBoard and the progress bar."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.runs.files import atomic_write
from evalkit.runs.terminal import progress
from rewards.progress import Progress
from rewards.training.trainer import METRICS


class RoundLog:
    """Logs each round's metrics; a resumed run drops the lines of rounds that it repeats.

    Args:
        folder: The run's.
        tensorboard: Whether curves are written for TensorBoard.
    """

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.path = folder / METRICS
        self.tensorboard = folder / "tensorboard" if tensorboard else None
        self._writer: Any = None
        self._progress: Progress | None = None

    @contextmanager
    def open(self, done: int, rounds: int) -> Iterator[None]:
        """Cut the file after the round resumed from, and log further rounds within the block.

        Args:
            done: The last finished round.
            rounds: Rounds in all.
        """
        kept = [line for line in self.lines() if line["round"] <= done]
        with atomic_write(self.path) as file:
            file.write("".join(json.dumps(line) + "\n" for line in kept))
        if self.tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.tensorboard), purge_step=done + 1)
        try:
            with progress("training", rounds, done=done, unit="rounds") as self._progress:
                yield
        finally:
            if self._writer is not None:
                self._writer.close()

    def write(self, metrics: dict[str, Any]) -> None:
        """Append a round, within `open`."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        if self._writer is not None:
            for name, value in metrics.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name.replace("_", "/", 1), value, metrics["round"])
        if self._progress is not None:
            note = f"reward {metrics['rollout_proxy']:.3g}, KL {metrics['rollout_kl']:.3g}"
            self._progress.advance(note=note)

    def lines(self) -> list[dict[str, Any]]:
        """Return the rounds so far; the half line of a killed run is skipped."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in text if line.endswith("}")]
