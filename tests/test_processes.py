"""A forked process is as a new interpreter: arguments, folder, environment, outputs and end are its own."""

import os
import signal

import pytest

from tests.processes import Forked, command_code


def test_arguments_folder_environment_and_outputs_are_its_own(tmp_path):
    code = (
        "import os, sys; print(sys.argv, os.getcwd(), os.environ['OWN']); sys.stderr.write('e'); sys.exit(3)"
    )
    done = Forked(code, "a", "b", cwd=tmp_path, env={**os.environ, "OWN": "one"}).completed()
    assert done.stdout == f"['-c', 'a', 'b'] {tmp_path} one\n"
    assert (done.returncode, done.stderr) == (3, "e")
    assert "OWN" not in os.environ


def test_a_signal_ends_it_and_its_lines_are_read_as_they_come():
    process = Forked("import time\nfor n in (1, 2): print(n, flush=True)\ntime.sleep(60)")
    assert [process.readline(), process.readline(), process.poll()] == ["1\n", "2\n", None]
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == process.returncode == -signal.SIGKILL
    assert process.readline() == ""


@pytest.mark.parametrize(("line", "code"), [(["--help"], 0), (["nothing"], 2)])
def test_a_command_ends_with_its_exit_code(line, code):
    assert Forked(command_code(line)).wait() == code
