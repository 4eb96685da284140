"""`evalkit compare`: compares policies with a baseline by every reward and judge."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from evalkit import runs
from evalkit.comparing.config import Compare
from evalkit.comparing.figures import draw_comparison
from evalkit.comparing.findings import ComparedPolicy, ComparisonFindings, compare_policies, policies_from
from evalkit.comparing.samples import (
    Responses,
    check_policies,
    check_same_prompts,
    draw_responses,
    policies_of,
    reward_responses,
    samples_path,
)
from evalkit.comparing.tables import pair_row, table_rows, tables
from evalkit.comparing.verdicts import Judged, judge_policies
from evalkit.policies.probe.prompts import PromptRecord, read_prompts
from evalkit.report.csv import write_csv
from evalkit.report.plain import plain_values
from evalkit.runs.files import fingerprint, spec_fingerprint, write_json
from evalkit.runs.terminal import say, show
from judges.asking.config import AskingConfig, without_secrets
from judges.asking.session import Session
from judges.panel import load_judges
from judges.statistics.bootstrap import codes_of
from rewards.files import write_rows
from rewards.intervals import Resampling
from rewards.records import prompt_key
from rewards.scorer import load_scorer

REPORT, TABLES, ROWS, FIGURE = "report.json", ("table.csv", "pairwise.csv"), "rows.jsonl", "comparison.png"


def run(config: Compare) -> None:
    """Sample, score and judge what is missing, then write and print the tables.

    Raises:
        EvalkitError: A policy, scorer, judge, the data or the output cannot be used; policies, scorers and
            judges are all loaded once before anything is sampled.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    asked = read_prompts(config.data, config.rename, config.limit)
    _check_inputs(config, asked)
    with runs.run(_lasting(config), _inputs(config), done=REPORT) as folder:
        everyone = draw_responses(config, folder)
        check_same_prompts(everyone, asked, config.data)
        rewards = reward_responses(config, everyone, asked, folder)
        judged = judge_policies(config, everyone, asked, folder)
        if config.plan:
            say(f"Samples and scores are in {folder}; the same command without --plan goes on")
            return
        policies = policies_from(everyone, rewards, judged)
        codes = codes_of(np.repeat([prompt_key(one.prompt) for one in asked], config.samples))
        found = compare_policies(policies, codes, config.samples, resampling)
        _write(folder, found, list(_prompt_rows(asked, everyone, policies, config.samples)))
    show(*tables(found))
    for line in _notes(judged):
        say(line)
    say(f"Results are in {folder}: {', '.join((*TABLES, ROWS, REPORT, FIGURE))}")


def _check_inputs(config: Compare, asked: Sequence[PromptRecord]) -> None:
    """Load everything once before sampling, so that errors show early."""
    folder = Path(config.out)
    if (folder / REPORT).exists() and not config.overwrite:
        return  # refused in a moment
    if all(samples_path(folder, name).exists() for name in policies_of(config)):
        return
    check_policies(config, asked)
    for spec in config.scorers.values():
        load_scorer(spec)
    session = Session.open(replace(config, ledger=""))
    with session.ledger:
        for spec in config.judges.values():
            load_judges(spec, session)


def _lasting(config: Compare) -> Compare:
    """Return the configuration without the options that may change on resume: those of asking judges."""
    names = {one.name for one in fields(AskingConfig)} - {"base_url", "ledger"}
    plain = AskingConfig()
    asking = {name: getattr(plain, name) for name in names}
    return replace(without_secrets(config), plan=False, **asking)


def _inputs(config: Compare) -> dict[str, object]:
    return {
        "data": fingerprint(config.data),
        "policies": {name: spec_fingerprint(spec) for name, spec in policies_of(config).items()},
        "scorers": {name: spec_fingerprint(spec) for name, spec in config.scorers.items()},
        "judges": {name: spec_fingerprint(spec) for name, spec in config.judges.items()},
    }


def _prompt_rows(
    asked: Sequence[PromptRecord],
    everyone: Sequence[Responses],
    policies: Sequence[ComparedPolicy],
    samples: int,
) -> Iterator[dict[str, object]]:
    """Yield a row for each prompt: all responses to it, with their rewards and wins."""
    for number, one in enumerate(asked):
        own = slice(number * samples, (number + 1) * samples)
        prompt = one.prompt if isinstance(one.prompt, str) else [
            {"role": turn.role, "content": turn.content} for turn in one.prompt
        ]  # fmt: skip
        told = {
            policy.name: {
                "responses": list(responses.texts[number]),
                "token_counts": list(responses.tokens[number]),
                "finish_reasons": list(responses.reasons[number]),
                "rewards": {by: values[own].tolist() for by, values in policy.rewards.items()},
                "wins": {
                    by: _numbers(values[own])
                    for by, values in policy.wins.items()
                    if policy is not policies[-1]
                },
            }
            for responses, policy in zip(everyone, policies, strict=True)
        }
        yield {"prompt": prompt, "columns": dict(one.extra), "policies": told}


def _numbers(values: np.ndarray) -> list[float | None]:
    """Return numbers for JSON, null where a verdict is missing."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def _write(folder: Path, found: ComparisonFindings, rows: Sequence[Mapping[str, object]]) -> None:
    write_rows(folder / ROWS, rows, overwrite=True)
    write_csv(folder / TABLES[0], list(table_rows(found)))
    write_csv(folder / TABLES[1], [pair_row(pair) for pair in found.pairs])
    partial = folder / ".comparison.partial.png"
    draw_comparison(found, partial)
    partial.replace(folder / FIGURE)
    values = {"baseline": found.baseline, **{one.name: getattr(found, one.name) for one in fields(found)}}
    write_json(folder / REPORT, plain_values(values))


def _notes(judged: Mapping[str, Mapping[str, Judged]]) -> Iterator[str]:
    """Return the counts of missing verdicts, with an example of each reason."""
    anything = False
    for judge, by_policy in judged.items():
        for policy, one in by_policy.items():
            for reason, count in one.missing.items():
                anything = True
                detail = f", such as: {one.details[reason]}" if one.details[reason] else ""
                yield f"{policy} by {judge}: {count:,} of {one.verdicts:,} verdicts {reason}{detail}"
    if anything:
        yield "--overwrite --retry-failed asks these again, and pays for nothing twice"
