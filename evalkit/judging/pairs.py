"""`evalkit pairs`: verdicts as preferences or rankings for training, with counts of those left out."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evalkit.judging.config import VerdictPairs
from evalkit.runs import say
from judges.judge import Verdict
from judges.verdicts.members import JURY, members_in
from judges.verdicts.reading import read_verdicts
from judges.verdicts.training_rows import verdict_preferences, verdict_rankings
from rewards.errors import ConfigError, DataError, OutputExistsError
from rewards.files import to_row, write_rows

OVERALL = "overall"
"""What the axis without a name is called."""


def run(config: VerdictPairs) -> None:
    """Write one row for each comparison that the verdicts decide, or for each prompt that they rank.

    Raises:
        ConfigError: No file of verdicts is named, one is twice, or the output is one of them.
        DataError: A row is broken; the verdicts are of several axes; or they decide nothing.
        OutputExistsError: The output exists and `overwrite` is not set.
    """
    sources = _sources(config)
    chosen = _Chosen(config)
    verdicts = (verdict for source in sources for verdict in chosen.of(source))
    if config.form == "preference":
        preferences = verdict_preferences(verdicts, config.margin)
        rows, left_out = map(to_row, preferences.records), preferences.left_out
        made, of = len(preferences.records), "comparisons"
    else:
        rankings = verdict_rankings(verdicts)
        rows, left_out = map(to_row, rankings.records), rankings.left_out
        made, of = len(rankings.records), "prompts or comparisons"
    lines = [f"{count:,} {of} left out: {reason}" for reason, count in sorted(left_out.items())]
    lines += [f"{count:,} verdicts passed over: {reason}" for reason, count in sorted(chosen.passed.items())]
    if not made:
        raise DataError(f"{', '.join(sources)}: nothing to write: {'; '.join(lines)}")
    write_rows(config.out, rows, config.overwrite)
    told = [f"{made:,} {config.form}s of {chosen.taken:,} verdicts", *lines, f"written to {config.out}"]
    say("\n".join(told))


class _Chosen:
    """The verdicts that a configuration selects, and counts of the others by reason."""

    def __init__(self, config: VerdictPairs) -> None:
        self._config = config
        self.taken = 0
        self.passed: Counter[str] = Counter()

    def of(self, source: str) -> Iterator[Verdict]:
        """Yield the selected verdicts of a file."""
        jury = False
        members: frozenset[str] = frozenset()
        for verdict in read_verdicts(source):
            jury |= verdict.judge.startswith(JURY)  # which stands before its members
            members |= members_in(verdict)
            held = (jury and not verdict.judge.startswith(JURY)) or verdict.judge in members
            reason = self._reason(verdict, held)
            if reason:
                self.passed[reason] += 1
            else:
                self.taken += 1
                yield verdict

    def _reason(self, verdict: Verdict, held: bool) -> str:
        """Return why a verdict is left out; empty if selected."""
        config = self._config
        if config.judge and verdict.judge != config.judge:
            return "of another judge"
        if not config.judge and held:
            return "of a jury's member, or of one of several people, which their majority's own holds already"
        if config.axis and (verdict.axis or OVERALL) != config.axis:
            return "on another axis"
        return ""


def _sources(config: VerdictPairs) -> list[str]:
    sources = [config.verdicts] if isinstance(config.verdicts, str) else list(config.verdicts)
    if not sources or len(set(sources)) < len(sources):
        raise ConfigError(f"verdicts are one file or several different ones, got {sources}")
    out = Path(config.out)
    if any(out.resolve() == Path(source).resolve() for source in sources):
        raise ConfigError(f"{out}: is an input too; give another --out")
    if out.exists() and not config.overwrite:  # before the verdicts are read
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")
    return sources
