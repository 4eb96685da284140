"""What `judge` says while it asks and when it is done: verdicts, what is missing and why, what it cost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from evalkit.judging_config import JudgeFiles
from evalkit.sides import Matching
from judges.asking import Asker
from judges.judge import Verdict
from judges.session import Session
from judges.tally import Tally

IDENTICAL = "identical responses, nobody asked"


@dataclass
class Summary:
    """Counts verdicts as they pass, and tells what they came to."""

    config: JudgeFiles
    matching: Matching
    first: str
    """Name of the first system."""
    second: str
    winners: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """For each judge and axis, the verdicts by winner, and by reason where there is none."""
    identical: int = 0
    details: dict[str, str] = field(default_factory=dict)
    """One example of each reason."""

    def counted(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """Yield the verdicts as they are."""
        for verdict in verdicts:
            counts = self.winners.setdefault((verdict.judge, verdict.axis), Counter())
            counts[verdict.winner or verdict.reason] += 1
            self.identical += verdict.detail == IDENTICAL
            if verdict.reason:
                self.details.setdefault(verdict.reason, verdict.detail)
            yield verdict

    def lines(self, session: Session, askers: Iterable[Asker]) -> Iterator[str]:
        """Say what was found, what is missing, what it cost and what to do next."""
        for (judge, axis), counts in self.winners.items():
            by = f"{judge}, {axis}" if axis else judge
            told = (
                f"{self.first} {counts['first']:,}, {self.second} {counts['second']:,}, tie {counts['tie']:,}"
            )
            missing = sum(counts.values()) - counts["first"] - counts["second"] - counts["tie"]
            yield f"{by}: {told}, missing {missing:,}, of {sum(counts.values()):,} verdicts"
        if self.identical:
            yield f"{self.identical:,} verdicts are ties of identical responses, about which nobody was asked"
        if any(self.matching.left_out):
            ours, theirs = self.matching.left_out
            yield f"left out, without a partner: {ours:,} rows of {self.first}, {theirs:,} of {self.second}"
        yield from self._missing()
        yield from _spent(session, list(askers))
        yield f"Verdicts are in {self.config.out}; evalkit winrate --verdicts {self.config.out} --out DIR"

    def _missing(self) -> Iterator[str]:
        reasons: Counter[str] = Counter()
        for counts in self.winners.values():
            reasons.update({reason: counts[reason] for reason in self.details})
        skipped = reasons.pop("skipped", 0)
        for reason, count in reasons.items():
            yield f"{count:,} {reason}, such as: {self.details[reason]}"
        if reasons:
            yield "--retry-failed asks these again (with --overwrite, as the output is there)"
        if skipped and self.details["skipped"] == "budget":
            yield (
                f"the budget of {self.config.budget:g} was reached: {skipped:,} verdicts remain; the same "
                "command with a greater --budget and --overwrite goes on, and pays for nothing twice"
            )
        elif skipped:
            yield f"{skipped:,} skipped, such as: {self.details['skipped']}"


def _spent(session: Session, askers: list[Asker]) -> Iterator[str]:
    known = sum(asker.tally.from_ledger for asker in askers)
    calls = sum(asker.tally.calls for asker in askers)
    if not askers:
        return
    sent = sum(asker.tally.usage.tokens_in for asker in askers)
    received = sum(asker.tally.usage.tokens_out for asker in askers)
    priced = any(asker.tally.usage.cost is not None for asker in askers)
    cost = f"{session.spending.spent:.4f} {session.prices.currency}" if priced else "price not known"
    yield (
        f"{calls:,} calls, {sent:,} tokens sent and {received:,} received, {cost}; "
        f"{known:,} answers were in the ledger, {session.ledger.path}"
    )


class Watch:
    """Shows on a terminal how the asking goes."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("asking")

    def __enter__(self) -> "Watch":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, tally: Tally) -> None:
        """Show a tally, in place of the one before."""
        failed = tally.received - tally.states["ok"]
        words = (
            f"{tally.states['ok']:,} answered, {failed:,} failed, {tally.from_ledger:,} known before, "
            f"{tally.in_flight} in flight, {tally.calls_per_second():.0f} calls/s"
        )
        self._progress.update(self._task, description=words + (", stopping" if tally.stopping else ""))
