"""Progress: a bar on a terminal that goes again, elsewhere lines by time and by share, none of short work."""

import io
import sys

import pytest

from rewards.progress import LEAST_SECONDS, SECONDS, SHARE, progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose one element is the time in seconds."""
    now = [0.0]
    monkeypatch.setattr("rewards.progress.time.monotonic", lambda: now[0])
    return now


def lines_of(clock, total, seconds_each, units=1, count=None, done=0, note=""):
    """Return what is written while `count` steps of some units each take some seconds each."""
    stream = io.StringIO()
    with progress("scoring", total, done=done, unit="rows", stream=stream) as shown:
        for _ in range(count if count is not None else (total - done) // units):
            clock[0] += seconds_each
            shown.advance(units, note)
    return stream.getvalue().splitlines()


def test_work_of_less_than_ten_seconds_writes_nothing(clock):
    assert lines_of(clock, 1000, seconds_each=0.0099) == []


def test_slow_work_writes_a_line_every_thirty_seconds(clock):
    lines = lines_of(clock, 100_000, seconds_each=1, count=120)
    assert lines == [
        "scoring: 30 of 100,000 rows, 0%, 30 s so far, about 27:46 h to go",
        "scoring: 60 of 100,000 rows, 0%, 1:00 min so far, about 27:45 h to go",
        "scoring: 90 of 100,000 rows, 0%, 1:30 min so far, about 27:45 h to go",
        "scoring: 120 of 100,000 rows, 0%, 2:00 min so far, about 27:44 h to go",
    ]


def test_faster_work_writes_a_line_every_five_percent_but_none_within_ten_seconds_of_the_last(clock):
    def shares(seconds_each):
        clock[0] = 0
        return [int(line.split(" ")[1]) for line in lines_of(clock, 800, seconds_each)]

    assert shares(seconds_each=0.25) == list(range(40, 801, 40))  # 5 % take 10 s
    assert shares(seconds_each=0.125) == list(range(80, 801, 80))  # 5 s, so every second share is too soon
    assert (SECONDS, SHARE, LEAST_SECONDS) == (30, 0.05, 10)


def test_what_is_left_is_reckoned_by_what_this_run_has_done(clock):
    (line,) = lines_of(clock, 100, seconds_each=40, units=10, count=1, done=50)
    assert line == "scoring: 60 of 100 rows, 60%, 40 s so far, about 2:40 min to go"


def test_work_without_a_total_is_counted_and_timed(clock):
    (line,) = lines_of(clock, None, seconds_each=31, units=1234, count=1, note="loss 0.31")
    assert line == "scoring: 1,234 rows, 31 s so far, loss 0.31"


def test_a_note_stays_until_there_is_another(clock):
    stream = io.StringIO()
    with progress("training", 10, stream=stream) as shown:
        for note in ("loss 2", "", "loss 1"):
            clock[0] += 30
            shown.advance(note=note)
    assert [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()] == [
        "loss 2",
        "loss 2",
        "loss 1",
    ]


@pytest.mark.parametrize("total", [3, None])
def test_on_a_terminal_a_bar_is_drawn_and_goes_again(total, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress("judging [bold] :smile:", total, unit="pairs", stream=stream) as shown:
        for _ in range(3):
            shown.advance(note="$0.02")
        assert shown.done == 3
    written = stream.getvalue()
    assert "judging [bold] :smile: $0.02" in written
    assert written.endswith("\x1b[2K")  # the line is empty again
    assert "so far" not in written


def test_what_is_printed_to_a_file_meanwhile_stays_out_of_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress("sampling", 3, stream=stream):
        sys.stdout.write("a result\n")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in stream.getvalue()
