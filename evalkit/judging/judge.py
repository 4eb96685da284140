"""`evalkit judge`: two systems' responses to the same prompts, and a judge's verdict on each pair."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from evalkit.judging.config import JudgeFiles
from evalkit.runs.terminal import say
from judges.asking.asker import BUDGET, NOT_ASKED
from judges.asking.session import Session
from judges.human.judge import WAITS
from judges.judge import Verdict
from judges.panel import IDENTICAL, Panel, load_judges, spending_lines
from judges.sides import Side, SideComparisons, match_sides, side_name
from judges.verdicts.reading import verdict_row
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import write_rows
from rewards.files.writing import WRITERS


def run(config: JudgeFiles) -> None:
    """Ask, keep every reply in the ledger, then write one row for each verdict."""
    ledger = config.ledger or f"{config.out}.ledger"
    _check_paths(config, ledger)
    first, second = (
        Side(source, side_name(source, name), config.rename)
        for source, name in ((config.first, config.first_name), (config.second, config.second_name))
    )
    matching = match_sides(first, second, config.unmatched)
    # A plan only reads: where there is no ledger yet, it leaves none.
    session = Session.open(
        replace(config, ledger="" if config.plan and not Path(ledger).exists() else ledger)
    )
    with session.ledger:
        panel = Panel(
            session,
            load_judges(config.judge, session, config.axes, config.repeats),
            config.order,
            config.seed,
            config.identical == "ask",
            config.axes,
            config.repeats,
        )
        _judge(config, panel, SideComparisons(first, second, matching, config.limit))


def _judge(config: JudgeFiles, panel: Panel, comparisons: SideComparisons) -> None:
    if config.plan:
        say("\n".join(panel.plan_lines(comparisons, config.batch)))
        return
    panel.ask(comparisons, config.batch, say)
    summary = JudgingSummary(config, comparisons)
    write_rows(config.out, map(verdict_row, summary.counted(panel.verdicts(comparisons))), config.overwrite)
    say("\n".join(summary.lines(panel)))


def _check_paths(config: JudgeFiles, ledger: str) -> None:
    """Refuse outputs, before anything is paid for, that could not be written or would overwrite a file.

    Raises:
        ConfigError: Two of the files are the same, or the output's suffix is unknown.
        OutputExistsError: The output exists.
    """
    out, kept = Path(config.out), Path(ledger)
    inputs = [Path(source).resolve() for source in (config.first, config.second)]
    if inputs[0] == inputs[1] and config.identical == "tie":
        raise ConfigError(
            f"{config.first}: is both systems, so all responses are identical; give another --second, or "
            "ask about copies by --identical ask"
        )
    for path, option in ((out, "--out"), (kept, "--ledger")):
        if path.resolve() in inputs:
            raise ConfigError(f"{path}: is an input too; give another {option}")
    if out.resolve() == kept.resolve():
        raise ConfigError(f"{out}: is both --out and --ledger; give the ledger another name")
    if not out.name.endswith(tuple(WRITERS)):
        raise ConfigError(f"{out}: an output ends in {', '.join(WRITERS)}")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; give a file as --out")
    if out.exists() and not config.overwrite and not config.plan:
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")


@dataclass
class JudgingSummary:
    """Counts verdicts as they are written, and summarises them."""

    config: JudgeFiles
    comparisons: SideComparisons
    winners: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """For each judge and axis, the verdicts by winner, and by reason where there is none."""
    identical: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of them, those decided without asking."""
    weighed: Counter[str] = field(default_factory=Counter)
    """For each judge, the verdicts that have a preference."""
    details: dict[str, str] = field(default_factory=dict)
    """One example of each reason."""
    waiting: int = 0
    """Verdicts that wait for people."""

    def counted(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """Yield the verdicts as they are."""
        for verdict in verdicts:
            counts = self.winners.setdefault((verdict.judge, verdict.axis), Counter())
            counts[verdict.winner or verdict.reason] += 1
            if verdict.detail == IDENTICAL:
                self.identical[verdict.judge, verdict.axis] += 1
            self.weighed[verdict.judge] += verdict.preference is not None
            waits = verdict.reason == "skipped" and verdict.detail.startswith(WAITS)
            self.waiting += waits
            if verdict.reason and not waits:
                self.details.setdefault(verdict.reason, verdict.detail)
            yield verdict

    def lines(self, panel: Panel) -> Iterator[str]:
        """Return lines on each judge's verdicts, missing ones, costs and next steps."""
        first, second = self.comparisons.first.name, self.comparisons.second.name
        for (judge, axis), counts in self.winners.items():
            by = f"{judge}, {axis}" if axis else judge
            wins = f"{first} {counts['first']:,}, {second} {counts['second']:,}, tie {counts['tie']:,}"
            decided = counts["first"] + counts["second"]
            missing = counts.total() - decided - counts["tie"]
            yield f"{by}: {wins}, missing {missing:,}, of {counts.total():,} verdicts"
            if decided:
                continue
            if counts["tie"] > self.identical[judge, axis]:
                yield f"{by}: every verdict is a tie, which tells nothing apart; evalkit probe tests a judge"
            elif counts["parse_failed"]:
                yield f"{by}: no reply could be read; can the model keep to the judge's answer=, max_tokens=?"
        for judge, count in self.weighed.items():
            if "logprobs=true" in judge and not count:
                yield f"{judge}: no reply came with log-probabilities of use, so no verdict has a preference"
        if self.identical:
            same = self.identical.total()
            yield f"{same:,} verdicts are ties of identical responses, about which nobody was asked"
        ours, theirs = self.comparisons.matching.left_out
        if ours or theirs:
            yield f"left out, without a partner: {ours:,} rows of {first}, {theirs:,} of {second}"
        yield from self._missing()
        yield from self._people(panel.databases)
        yield from spending_lines(panel.session, panel.askers)
        yield f"Verdicts are in {self.config.out}; evalkit winrate --verdicts {self.config.out} --out DIR"

    def _people(self, databases: list[str]) -> Iterator[str]:
        if databases:
            yield "people are asked once about each comparison, each with the sides in an order of their own"
        if self.waiting:
            served = "; ".join(f"evalkit annotate --db {name}" for name in databases)
            yield (
                f"{self.waiting:,} comparisons wait for people: {served} serves them; the same command with "
                "--overwrite then takes up what has come in"
            )

    def _missing(self) -> Iterator[str]:
        reasons: Counter[str] = Counter()
        for counts in self.winners.values():
            reasons.update({reason: counts[reason] for reason in self.details})
        skipped = reasons.pop("skipped", 0) - (self.waiting if "skipped" in self.details else 0)
        for reason, count in reasons.items():
            yield f"{count:,} {reason}, such as: {self.details[reason]}"
        if reasons:
            yield "--retry-failed asks these again (with --overwrite, as the output is there)"
        detail = self.details.get("skipped", "")
        if skipped and _says(detail, BUDGET):
            yield (
                f"the budget of {self.config.budget:g} was reached: {skipped:,} verdicts remain; the same "
                "command with a greater --budget and --overwrite goes on, and pays for nothing twice"
            )
        elif skipped and _says(detail, NOT_ASKED):
            yield (
                f"{skipped:,} verdicts remain unasked; the same command with --overwrite goes on, "
                "and pays for nothing twice"
            )
        elif skipped:
            yield f"{skipped:,} skipped{f', such as: {detail}' if detail else ''}"


def _says(detail: str, what: str) -> bool:
    """Say whether that is the detail, or what a jury repeats of a member's."""
    return detail == what or f"(skipped: {what})" in detail
