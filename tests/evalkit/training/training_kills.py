"""Commands in processes of their own, some of them killed while they train."""

import hashlib
import signal
import time
from pathlib import Path

from tests.processes import Forked, command_code


def killed_at(line: list[str], state: Path) -> None:
    """Run a command and kill it with SIGKILL once it has written a file."""
    process = Forked(command_code(line))
    while process.poll() is None and not state.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.completed().stderr


def killed_after(line: list[str], out: Path, step: int) -> None:
    """Run a command and kill it once it has saved the checkpoint of a step."""
    killed_at(line, out / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
