"""Judges' verdicts on each policy against the baseline, asked once and kept in the ledger."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evalkit.comparing.config import Compare
from evalkit.comparing.samples import Floats, Responses
from evalkit.policies.probe.prompts import PromptRecord
from evalkit.runs.terminal import say
from judges.asking.asker import Asker
from judges.asking.session import Session
from judges.judge import Verdict
from judges.panel import Panel, load_judges, spending_lines
from judges.sides import Side, SideComparisons, match_sides
from judges.statistics.win_rate import settle_ties
from judges.verdicts.reading import read_verdicts, verdict_row
from rewards.errors import DataError
from rewards.files import Row, write_rows
from rewards.records import Generation


@dataclass(frozen=True)
class SampledSide(Side):
    """One policy's responses as a side of comparisons: the j-th to the i-th prompt has the id `i.j`."""

    asked: Sequence[PromptRecord] = ()
    responses: Sequence[Sequence[str]] = ()

    def generations(self) -> Iterator[tuple[Row, Generation]]:
        """Yield each response; a row is its prompt's place."""
        for number, (one, own) in enumerate(zip(self.asked, self.responses, strict=True), 1):
            row = Row({}, self.source, number)
            for place, text in enumerate(own, 1):
                yield row, Generation(one.prompt, text, id=f"{number}.{place}", extra=one.extra)


@dataclass(frozen=True, eq=False)
class Judged:
    """One judge's verdicts on one policy against the baseline."""

    values: Floats
    """[prompts * samples], 1 where the policy's response is better, 0.5 for a tie, 0 where the baseline's is,
    NaN where a verdict is missing."""
    verdicts: int
    """Verdicts there should be: two a pair where both orders are asked."""
    missing: Mapping[str, int]
    """Of them, those without a winner, by reason."""
    details: Mapping[str, str] = field(default_factory=dict)
    """An example of each reason, as the judge's side told it."""


def judge_policies(
    config: Compare, everyone: Sequence[Responses], asked: Sequence[PromptRecord], folder: Path
) -> dict[str, dict[str, Judged]]:
    """Ask each judge the missing questions; all share one budget and one ledger.

    Returns:
        For each judge and policy, the baseline aside, the verdicts; nothing of what was only planned.

    Raises:
        EvalkitError: A judge cannot be loaded or asked.
    """
    verdicts: dict[str, dict[str, Judged]] = {}
    session = Session.open(replace(config, ledger=_ledger(config)))
    askers: list[Asker] = []
    with session.ledger:
        for name, spec in config.judges.items():
            paths = {
                policy.name: folder / "verdicts" / name / f"{policy.name}.jsonl" for policy in everyone[:-1]
            }
            left = [policy for policy in everyone[:-1] if not paths[policy.name].exists()]
            if left:
                say(f"Judging by {name}, {spec}")
                judges = load_judges(spec, session)
                panel = Panel(session, judges, "both" if config.both_orders else "one", config.seed)
                for policy in left:
                    comparisons = _comparisons(config, policy, everyone[-1], asked)
                    _judge(config, panel, comparisons, paths[policy.name])
                askers += panel.askers
            if not config.plan:
                ids = [f"{i}.{j}" for i in range(1, len(asked) + 1) for j in range(1, config.samples + 1)]
                verdicts[name] = {policy: read_judged(path, ids) for policy, path in paths.items()}
        if askers and not config.plan:
            say("\n".join(spending_lines(session, askers)))
    return verdicts


def _ledger(config: Compare) -> str:
    """Return the ledger's path, beside the folder, where --overwrite leaves it; a plan makes none."""
    path = config.ledger or f"{Path(config.out)}.ledger"
    return "" if not config.judges or (config.plan and not Path(path).exists()) else path


def _comparisons(
    config: Compare, policy: Responses, baseline: Responses, asked: Sequence[PromptRecord]
) -> SideComparisons:
    first, second = (
        SampledSide(config.data, one.name, asked=asked, responses=one.texts) for one in (policy, baseline)
    )
    return SideComparisons(first, second, match_sides(first, second))


def _judge(config: Compare, panel: Panel, comparisons: SideComparisons, path: Path) -> None:
    if config.plan:
        for line in panel.plan_lines(comparisons):
            say(f"{comparisons.first.name}: {line}")
        return
    panel.ask(comparisons)
    write_rows(path, map(verdict_row, panel.verdicts(comparisons)))


def read_judged(path: Path, ids: Sequence[str]) -> Judged:
    """Read the verdicts of a file and settle what both orders say of a pair.

    A jury's verdicts and those of several people stand before what each of them said; the first are counted.

    Args:
        path: The file.
        ids: Of every pair, in the order in which values are returned.

    Raises:
        DataError: A pair has no row, or its rows are of more verdicts than two.
    """
    sides: dict[str, list[Verdict]] = {}
    judge = None
    for verdict in read_verdicts(path):
        judge = judge or verdict.judge
        if verdict.judge == judge:
            sides.setdefault(verdict.comparison.id, []).append(verdict)
    given, swapped = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    for place, one in enumerate(ids):
        own = sides.get(one, [])
        if not 1 <= len(own) <= 2:
            raise DataError(f"{path}: pair {one}: expected a verdict or two, got {len(own)}")
        given[place], swapped[place] = _outcome(own[0]), _outcome(own[-1])
    every = [verdict for own in sides.values() for verdict in own]
    missing = [verdict for verdict in every if verdict.winner is None]
    return Judged(
        settle_ties(given, swapped, "disagree").values,
        len(every),
        dict(Counter(verdict.reason for verdict in missing)),
        {verdict.reason: verdict.detail for verdict in reversed(missing)},
    )


def _outcome(verdict: Verdict) -> float:
    outcome = verdict.outcome()
    return float("nan") if outcome is None else outcome
