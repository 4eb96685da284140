"""Backoff before a call is retried: as the endpoint says, else exponential with jitter."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter: waits double with each try, each between half and all of its step."""

    first: float = 0.5
    """Seconds, at most, before the second try."""
    most: float = 60.0
    """Maximum seconds of a wait."""
    seed: int = 0

    def delay(self, name: str, tries: int) -> float:
        """Return the seconds to wait after a number of tries.

        The jitter depends on the seed, the name and the number alone, so that a run's waits do not depend on
        the order in which its calls ended.
        """
        digest = hashlib.sha256(f"{self.seed}:{tries}:{name}".encode()).digest()
        chance = int.from_bytes(digest[:8]) / 2**64
        # A power beyond any wait would only overflow.
        step = min(self.most, self.first * 2.0 ** min(tries - 1, 60))
        return step * (1 + chance) / 2


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return an endpoint's requested wait before a retry, in seconds; None if it gives none.

    Args:
        headers: The response's; `retry-after-ms` (milliseconds) goes before `retry-after` (seconds, or a
            date as in RFC 9110, section 10.2.3).
        now: The time that a date is compared with; None is the present.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _seconds(text)
    if seconds is not None or text is None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
