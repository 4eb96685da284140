"""`evalkit search`: solutions for every prompt of a file, by a policy and a process scorer."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from evalkit.policies.policy import Policy, PromptCheck, SamplingConfig, load_policy
from evalkit.report.text import counted
from evalkit.runs.files import fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say
from evalkit.search.choosing import AMBIGUOUS, output_row, reference_of
from evalkit.search.config import Search
from evalkit.search.findings import findings_of, lines_of
from evalkit.search.prompts import SearchRow
from evalkit.search.rounds import Limits, Searcher
from evalkit.search.trees import Shape, shape_of
from rewards.errors import DataError
from rewards.files import Row, read_rows
from rewards.records import prompt_key
from rewards.scorer import load_scorer

CHECKED = 1024
"""Prompts checked at a time."""


def run(config: Search) -> None:
    """Search every prompt, write its row with all solutions, and print a summary.

    A prompt's samples depend on the seed, its text and its earlier occurrences; not on the other prompts
    or `chunk_prompts`.

    Raises:
        EvalkitError: The policy, the scorer, the data or the output cannot be used.
    """
    shape = shape_of(config.method, config.n, config.width)
    limits = Limits(config.max_steps, config.max_new_tokens, config.max_step_tokens, config.separator)
    sampling = SamplingConfig(
        temperature=config.temperature, top_p=config.top_p, top_k=config.top_k, seed=config.seed
    )
    policy, scorer = load_policy(config.policy), load_scorer(config.scorer)
    repetitions = _check(config, shape, policy)
    searcher = Searcher(policy, scorer, shape, limits, sampling)
    with ResumableRows(config.out, _key(config), config.overwrite) as writer:
        if writer.rows_done:
            say(f"Going on after {writer.rows_done} of {len(repetitions)} prompts")
        began, before = time.perf_counter(), writer.rows_done
        _search(config, searcher, repetitions, writer)
        seconds, new = time.perf_counter() - began, writer.rows_done - before
        writer.finish()
    for line in lines_of(findings_of(config.out), config.method, config.separator):
        say(line)
    say(
        f"{counted(new, 'prompt')} in {seconds:.1f} s, {counted(searcher.policy_calls, 'call')} of the "
        f"policy and {searcher.scorer_calls:,} of the scorer, for up to "
        f"{counted(config.chunk_prompts, 'prompt')} at a time"
    )
    say(f"Results are in {config.out}")


def _key(config: Search) -> dict[str, object]:
    values = {name: value for name, value in asdict(config).items() if name != "overwrite"}
    inputs = {
        "policy": spec_fingerprint(config.policy),
        "scorer": spec_fingerprint(config.scorer),
        "data": fingerprint(config.data),
    }
    return {"command": "search", **values, **inputs}


def _rows(config: Search, start: int = 0) -> Iterator[Row]:
    rows = read_rows(config.data, start, config.rename)
    return islice(rows, config.limit - start if config.limit else None)


def _check(config: Search, shape: Shape, policy: Policy) -> list[int]:
    """Refuse rows that cannot be searched; return how often each row's prompt occurred before it."""
    seen: Counter[str] = Counter()
    repetitions = []
    rows = _rows(config)
    while chunk := list(islice(rows, CHECKED)):
        prompts = [row.prompt() for row in chunk]
        for row, prompt in zip(chunk, prompts, strict=True):
            _check_row(row, config)
            if not shape.whole and not isinstance(prompt, str):
                raise DataError(
                    f"{row.where}: field 'prompt': is messages, whose answer a policy does not continue once "
                    f"it has begun, as {config.method} asks it to; give the prompt as a text, or use "
                    "--method best-of-n"
                )
            key = prompt_key(prompt)
            repetitions.append(seen[key])
            seen[key] += 1
        if isinstance(policy, PromptCheck):
            policy.check(prompts, [row.where for row in chunk])
    return repetitions


def _check_row(row: Row, config: Search) -> None:
    for name in AMBIGUOUS:
        if name in row.values:
            raise DataError(
                f"{row.where}: field {name!r} is a column that the output writes or that would hide it; "
                f'--rename \'{{"{name}": "reference_{name}"}}\' keeps it by another name'
            )
    row.id()  # a broken one is refused now rather than when its solutions are scored
    reference_of(row, config.grader)


def _search(config: Search, searcher: Searcher, repetitions: Sequence[int], writer: ResumableRows) -> None:
    done, total = writer.rows_done, len(repetitions)
    if done == total:  # a kill came after the last row
        return
    rows = _rows(config, done)
    with progress("searching", total, done=done, unit="prompts") as shown:
        while chunk := list(islice(rows, config.chunk_prompts)):
            counts = repetitions[done : done + len(chunk)]
            problems = [SearchRow(row, row.prompt(), count) for row, count in zip(chunk, counts, strict=True)]
            searches = searcher.search(problems)
            writer.append([output_row(one, config.separator, config.grader) for one in searches], len(chunk))
            done += len(chunk)
            shown.advance(len(chunk))
