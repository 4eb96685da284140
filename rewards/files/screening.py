"""Screening of doubtful rows: identical sides, empty texts, repeated ids, NaN; each is counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeVar

from rewards.errors import ConfigError, DataError
from rewards.files.rows import Row, holds_no_number
from rewards.records import Generation, Preference, Ranking, Record, SpanLabels, StepLabels, prompt_key

R = TypeVar("R", bound=Record)

ACTIONS = ("keep", "drop", "error")
CHECKS = ("not_a_number", "no_comparison", "identical", "empty", "duplicate_ids")
"""The checks that have a rule, in the order they are made; a row is dropped by the first it fails."""


@dataclass(frozen=True)  # jsonargparse reads a default through vars(), so no slots
class ScreeningConfig:
    """The rule for each kind of doubtful row: keep it, drop it, or stop with an error that names it."""

    identical: Literal["keep", "drop", "error"] = "drop"
    """Pairs or rankings whose responses are all the same text, so that nothing is compared."""
    empty: Literal["keep", "drop", "error"] = "keep"
    """Rows with an empty response (nothing but white space): short answers are answers."""
    duplicate_ids: Literal["keep", "drop", "error"] = "keep"
    """Rows whose id occurred before; ids are labels, not keys."""
    not_a_number: Literal["drop", "error"] = "error"
    """Rows that hold NaN or an infinite number in any column."""
    no_comparison: Literal["drop", "error"] = "error"
    """Rows of a data set of rankings that have fewer than two responses."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            allowed = ACTIONS if setting.name not in ("not_a_number", "no_comparison") else ACTIONS[1:]
            value = getattr(self, setting.name)
            if value not in allowed:
                raise ConfigError(f"screening.{setting.name} is one of {', '.join(allowed)}; got {value!r}")


OURS = (
    *("reward_margin", "chosen_reward", "rejected_reward", "chosen_finish_reason", "rejected_finish_reason"),
    *("score", "scores", "finish_reason", "finish_reasons", "token_count", "token_counts"),
)
"""Columns that commands write beside the training data; they are not reported as unknown."""


@dataclass(frozen=True, slots=True)
class ScreeningReport:
    """Counts of rows, kept and dropped: `rows == kept + sum(dropped.values())`.

    `found` counts rows per finding, whatever the rule: those of the configuration, and beside them
    `duplicates` (the same prompt and responses again) and `contradictions` (an earlier pair with its sides
    swapped), which are always kept. `unknown_columns` counts the rows that hold each column in `extra`.
    """

    rows: int
    kept: int
    dropped: Mapping[str, int]
    found: Mapping[str, int]
    unknown_columns: Mapping[str, int]

    def __str__(self) -> str:
        parts = [f"{self.rows} rows, {self.kept} kept"]
        for title, counts in (
            ("dropped", self.dropped),
            ("found", self.found),
            ("unknown columns", self.unknown_columns),
        ):
            counts = {name: count for name, count in counts.items() if name not in OURS}
            if counts:
                parts.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        return "; ".join(parts)

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain values, for a run's `run.json`."""
        return asdict(self)


class Screen:
    """Applies the configured rules to doubtful rows, yields the rest, and counts all.

    One screen may pass several sources, one after another; duplicates are then found across them. It
    remembers two hashes of 16 bytes for each row, about 200 bytes in all.
    """

    def __init__(self, config: ScreeningConfig | None = None) -> None:
        self._config = config or ScreeningConfig()
        self._rows = 0
        self._kept = 0
        self._dropped: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._columns: Counter[str] = Counter()
        self._ids: set[bytes] = set()
        self._seen: set[bytes] = set()
        self.where = ""
        """Place of the last record yielded, as errors name it."""

    @property
    def report(self) -> ScreeningReport:
        """Return the counts so far; complete when the iterator is exhausted."""
        return ScreeningReport(
            self._rows, self._kept, dict(self._dropped), dict(self._found), dict(self._columns)
        )

    def records(self, rows: Iterable[Row], convert: Callable[[Row], R | None]) -> Iterator[R]:
        """Convert rows to records and yield those that pass.

        Args:
            rows: The rows; they are checked for NaN before conversion, since no record holds one.
            convert: Returns a row's record, or None where the row compares nothing.

        Raises:
            DataError: A row is broken, or fails a check whose rule is `error`.
        """
        for row in rows:
            self._rows += 1
            bad = next((name for name, value in row.values.items() if holds_no_number(value)), None)
            if bad is not None:
                self._judge({"not_a_number": f"field {bad!r}: NaN or infinite"}, row.where)
                continue
            record = convert(row)
            if record is None:
                self._judge({"no_comparison": "fewer than two responses to compare"}, row.where)
            elif self._judge(self._findings(record), row.where):
                self._count(record)
                self.where = row.where + (f": id {record.id!r}" if record.id else "")
                yield record

    def apply(self, records: Iterable[R]) -> Iterator[R]:
        """Yield the records that pass.

        Raises:
            DataError: A record fails a check whose rule is `error`.
        """
        for number, record in enumerate(records, 1):
            self._rows += 1
            where = f"record {number}" + (f", id {record.id!r}" if record.id else "")
            if self._judge(self._findings(record), where):
                self._count(record)
                self.where = where
                yield record

    def _findings(self, record: Record) -> dict[str, str]:
        findings = {}
        responses = _content(record).responses
        bad = next((name for name, value in record.extra.items() if holds_no_number(value)), None)
        if bad is not None:
            findings["not_a_number"] = f"field {bad!r}: NaN or infinite"
        if isinstance(record, Preference | Ranking) and len(set(responses)) == 1:
            findings["identical"] = "all responses are the same text"
        if not all(response.strip() for response in responses):
            findings["empty"] = "a response is empty"
        if record.id and _hash(record.id) in self._ids:
            findings["duplicate_ids"] = f"id {record.id!r} was met before"
        return findings

    def _judge(self, findings: Mapping[str, str], where: str) -> bool:
        self._found.update(findings.keys())
        for check in CHECKS:
            rule = getattr(self._config, check)
            if check not in findings or rule == "keep":
                continue
            if rule == "error":
                raise DataError(f"{where}: {findings[check]} (screening.{check} may say drop)")
            self._dropped[check] += 1
            return False
        self._kept += 1
        return True

    def _count(self, record: Record) -> None:
        content = _content(record)
        self._columns.update(record.extra.keys())
        if record.id:
            self._ids.add(_hash(record.id))
        prompt = prompt_key(record.prompt)
        here = _hash(prompt, *content.responses, content.labels)
        if here in self._seen:
            self._found["duplicates"] += 1
        if isinstance(record, Preference) and record.chosen != record.rejected:
            other_way = _hash(prompt, record.rejected, record.chosen, "")
            if other_way in self._seen:
                self._found["contradictions"] += 1
        self._seen.add(here)


class _Content(NamedTuple):
    responses: tuple[str, ...]
    labels: str


def _content(record: Record) -> _Content:
    match record:
        case Generation():
            return _Content((record.response,), "")
        case Preference():
            return _Content((record.chosen, record.rejected), "")
        case Ranking():
            return _Content(record.responses, repr(record.ranks))
        case StepLabels():
            return _Content(("".join(record.steps),), repr((record.steps, record.labels)))
        case SpanLabels():
            return _Content((record.response,), repr(record.spans))


def _hash(*texts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()
