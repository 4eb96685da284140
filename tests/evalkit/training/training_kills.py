"""Commands in processes of their own, some of them killed while they train."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = str(Path(__file__).parents[3])
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def command(line: list[str]) -> list[str]:
    return [sys.executable, "-c", f"from evalkit.cli import main\nmain({line!r})"]


def killed_after(line: list[str], out: Path, step: int) -> None:
    """Run a command and kill it with SIGKILL once it has saved the checkpoint of a step."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command(line), env=ENVIRONMENT, stdout=silent, stderr=silent)
    state = out / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json"
    while process.poll() is None and not state.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
