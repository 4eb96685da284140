"""`evalkit label-steps`: a step's label is the share of completions from it with the correct answer."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from evalkit.label_steps.cache import RolloutCache
from evalkit.label_steps.config import LabelSteps
from evalkit.label_steps.rollouts import CompletionTally, Rollouts, StepTask, sampling
from evalkit.label_steps.solutions import UnlabelledSolution, solutions
from evalkit.label_steps.summary import summary_lines
from evalkit.policies.policy import Policy, PromptCheck, load_policy
from evalkit.runs.files import fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say
from rewards.files import Row, read_rows, to_row
from rewards.records import StepLabels
from rewards.solutions.answers import is_right

CHECKED = 256
"""Rows checked at a time."""


def run(config: LabelSteps) -> None:
    """Label the steps of every solution by rollouts (Math-Shepherd, 2312.08935, section 3.3).

    The last step's label is whether the solution's own answer is correct; nothing is sampled for it.

    Raises:
        EvalkitError: Policy, data, cache or output cannot be used; found before anything is sampled.
    """
    policy = load_policy(config.policy)
    total = _check(config, policy)
    values = {name: value for name, value in asdict(config).items() if name not in ("overwrite", "cache")}
    key = {
        **values,
        "command": "label-steps",
        "policy": spec_fingerprint(config.policy),
        "data": fingerprint(config.data),
    }
    place = config.cache or f"{config.out}.rollouts.sqlite"
    settings = {"policy": spec_fingerprint(config.policy), "sampling": asdict(sampling(config))}
    with ResumableRows(config.out, key, config.overwrite) as writer, RolloutCache(place, settings) as cache:
        if writer.rows_done:
            say(f"Going on after {writer.rows_done} of {total} rows")
        rollouts = Rollouts(policy, cache, config)
        _label(config, rollouts, writer, total)
        writer.finish()
    for line in summary_lines(config):
        say(line)
    say(f"{rollouts.sampled:,} completions were sampled now, {rollouts.reused:,} were in {place}")
    say(f"Labels are in {config.out}")


def _rows(config: LabelSteps, start: int = 0) -> Iterator[Row]:
    rows = read_rows(config.data, start, config.rename)
    return islice(rows, config.limit - start if config.limit else None)


def _check(config: LabelSteps, policy: Policy) -> int:
    """Refuse solutions that cannot be labelled; return the number of rows."""
    rows, total = _rows(config), 0
    while chunk := list(islice(rows, CHECKED)):
        total += len(chunk)
        unlabelled = [solution for row in chunk for solution in solutions(row, config)]
        if isinstance(policy, PromptCheck):
            # The longest prefix that is completed has to leave room; the shorter ones do so then.
            longest = [
                (solution.prompt + solution.prefixes[-2], solution)
                for solution in unlabelled
                if len(solution.steps) > 1
            ]
            names = [f"{solution.where}: step {len(solution.steps) - 1}" for _, solution in longest]
            policy.check([text for text, _ in longest], names)
    return total


def _label(config: LabelSteps, rollouts: Rollouts, writer: ResumableRows, total: int) -> None:
    if writer.rows_done == total:  # a kill came after the last row
        return
    with progress("labelling", total, done=writer.rows_done, unit="rows") as shown:
        rows = _rows(config, writer.rows_done)
        while chunk := list(islice(rows, config.chunk_rows)):
            unlabelled = [solution for row in chunk for solution in solutions(row, config)]
            tallies = rollouts.tallies(task for solution in unlabelled for task in _tasks(solution))
            writer.append([_output(solution, tallies, config) for solution in unlabelled], len(chunk))
            shown.advance(len(chunk), f"{rollouts.sampled:,} completions")


def _tasks(solution: UnlabelledSolution) -> list[StepTask]:
    """Return the steps that are completed: all but the last."""
    return [StepTask(solution.prompt, prefix, solution.reference) for prefix in solution.prefixes[:-1]]


def _output(
    solution: UnlabelledSolution, tallies: dict[StepTask, CompletionTally], config: LabelSteps
) -> dict[str, object]:
    own = [tallies[task] for task in _tasks(solution)]
    graded = float(is_right(solution.prefixes[-1], solution.reference, config.grader))
    hard = [*(tally.hard() for tally in own), graded]
    soft = [*(tally.soft() for tally in own), graded]
    # The last step's label is certain, and no completion stands behind it.
    certain = {"right": 0, "sampled": 0, "cut": 0, "low": graded, "high": graded, "early": False}
    extra = {
        **solution.extra,
        "hard_labels": hard,
        "soft_labels": soft,
        "rollouts": [*_counts(own, config), certain],
    }
    labels = tuple(hard if config.label == "hard" else soft)
    return to_row(StepLabels(solution.prompt, solution.steps, labels, solution.id, extra))


def _counts(tallies: Sequence[CompletionTally], config: LabelSteps) -> Iterator[dict[str, object]]:
    for tally in tallies:
        share = tally.share(config.level)
        yield {
            **{"right": tally.right, "sampled": tally.sampled, "cut": tally.cut},
            **{"low": share.low, "high": share.high, "early": tally.sampled < config.n},
        }
