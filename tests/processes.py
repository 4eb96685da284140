"""Processes that can be killed, forked from a server that has loaded what the commands stand on.

A new interpreter loads torch and Transformers for seconds before a command begins; a fork begins at once, and
is a process of its own all the same.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

from evalkit.cli import COMMANDS

_CONTEXT = multiprocessing.get_context("forkserver")
_RUNNERS = {command.runner.partition(":")[0] for command in COMMANDS.values()}
_CONTEXT.set_forkserver_preload([*sorted(_RUNNERS), "evalkit.annotation.serving", "judges.human.web.app"])


def command_code(line: list[str]) -> str:
    """Python's code for `evalkit LINE`."""
    return f"from evalkit.cli import main\nmain({line!r})"


class Forked:
    """`python -c CODE ARGUMENTS` in a process of its own, with the methods of `subprocess.Popen`."""

    def __init__(
        self, code: str, *arguments: str, env: Mapping[str, str] | None = None, cwd: str | Path = "."
    ) -> None:
        folder = tempfile.mkdtemp(prefix="forked-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._outputs = (f"{folder}/stdout", f"{folder}/stderr")
        self._read = 0
        given = (code, arguments, dict(os.environ if env is None else env), str(cwd), self._outputs)
        self._process = _CONTEXT.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python -c", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def readline(self) -> str:
        """Wait for the next line of its output; empty where it ended without one."""
        while True:
            ended = self.poll() is not None
            if "\n" in self._output_from(self._read):
                line = self._output_from(self._read).partition("\n")[0] + "\n"
                self._read += len(line)
                return line
            if ended:
                return ""
            time.sleep(0.005)

    def _output_from(self, place: int) -> str:
        path = Path(self._outputs[0])
        return path.read_text(encoding="utf-8")[place:] if path.exists() else ""

    def completed(self) -> "subprocess.CompletedProcess[str]":
        """Wait for its end, and give what it wrote."""
        code = self.wait()
        out, err = (Path(path).read_text(encoding="utf-8") for path in self._outputs)
        return subprocess.CompletedProcess(["python", "-c"], code, out, err)


def _run(
    code: str, arguments: tuple[str, ...], env: dict[str, str], cwd: str, outputs: tuple[str, str]
) -> None:
    """Become what a new interpreter would be: its outputs, environment, folder and arguments."""
    for number, path in enumerate(outputs, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["-c", *arguments]
    sys.path.insert(0, "")
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
