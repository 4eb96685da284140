"""`evalkit quickstart`: learns a reward in a small world, optimises it, and shows where gold peaks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from evalkit import runs
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.findings import read_findings
from evalkit.quickstart.page import QuickstartFindings, write_page
from evalkit.quickstart.steps import PROXIES, steps
from evalkit.runs.steps import Step
from evalkit.runs.terminal import progress, say

PAGE, LOG = "index.html", "log.txt"


def run(config: Quickstart) -> None:
    """Run all unfinished steps, then print the findings and where they are.

    The same command continues an interrupted run; once all is done, it prints the findings again.

    Raises:
        ModelError: A model in the folder is of another world.
        OutputExistsError: The folder holds another configuration's run, or another process is in it.
    """
    # A finished run is not refused but shown, as nothing of it is written again; only --overwrite asks
    # whether it is finished.
    done = PAGE if config.overwrite else "never"
    began = time.perf_counter()
    with (
        runs.run(config, done=done, preliminary=(LOG,)) as folder,
        _one_thread(),
        (folder / LOG).open("a", encoding="utf-8") as log,
    ):
        page = folder / PAGE
        todo = [*steps(config), Step("write the page", page, lambda: write_page(_findings(config), page))]
        for number, step in enumerate(todo, 1):
            title = f"{number:2} of {len(todo)}  {step.title}"
            if step.made.exists():
                step.check()
                say(f"{title}: done before")
                continue
            with _timed(title), redirect_stdout(log), redirect_stderr(log):
                step.make()
    _tell(config, time.perf_counter() - began)


def _findings(config: Quickstart) -> QuickstartFindings:
    folder = Path(config.out)
    commands = [(step.title, step.command) for step in steps(config) if step.command]
    score = (
        f"evalkit score --scorer {folder}/proxy-small --data {folder}/samples.jsonl "
        f"--out {folder}/scored.jsonl"
    )
    return read_findings(
        folder, {proxy.name: proxy.base for proxy in PROXIES}, [*commands, ("score any answers", score)]
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: with matrices this small, a second one waits longer than it works."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _timed(title: str) -> Iterator[None]:
    """Show a running clock on a terminal, and afterwards one line with the seconds."""
    began, processor = time.perf_counter(), time.process_time()
    with progress(title):
        yield
    seconds, computed = time.perf_counter() - began, time.process_time() - processor
    say(f"{title}: {seconds:.1f} s ({computed:.1f} s of processor time)")


def _tell(config: Quickstart, seconds: float) -> None:
    findings = _findings(config)
    say("\n".join(["", *findings.sentences(), ""]))
    say(f"Took {seconds:.0f} s. The page is {Path(config.out) / PAGE}; the figure is {findings.figure}")
    say("Every step is a command; for example, score the samples with the small reward model:")
    say(f"  {findings.commands[-1][1]}")
