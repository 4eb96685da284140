"""Health, whether an endpoint works at all, by the results of its calls; it ends what cannot succeed."""

from judges.asking.endpoint import Endpoint, EndpointError
from judges.questions.question import Attempt, Question

UNREACHED_TRIES = 3
"""Tries of one question after which an endpoint that was never reached is given up."""
DOUBTS = 3
"""Questions that may be rejected, with no word of theirs, before any is answered."""

_LATER = "nothing is lost: the same command goes on"
_NEVER = f"see its log, and whether it serves this model; {_LATER}"

Pair = tuple[Question, Attempt]


class Health:
    """Distinguishes a failed question from a failing endpoint.

    Failures are withheld until another question is answered. Only then are they the questions' own and go
    to the ledger; where the endpoint turns out not to work they are dropped, and asked again in the next run.
    """

    def __init__(self, endpoint: Endpoint, most: int) -> None:
        """Begin without any results.

        Args:
            endpoint: The endpoint.
            most: Questions that may fail in a row.
        """
        self._endpoint, self._most = endpoint, most
        self._withheld: list[Pair] = []
        self._doubts = 0
        self._reached = False
        self._answered = False
        self.vouched = False
        """Whether such questions were answered before, as the ledger shows; then a rejection is its own."""

    def answered(self) -> list[Pair]:
        """Record an answer; return the failures withheld so far, which are questions' own."""
        self._reached = self._answered = True
        return self._release()

    def failed(self, pair: Pair) -> None:
        """Record a question all of whose tries failed.

        Raises:
            EndpointError: It was one too many in a row.
        """
        self._withheld.append(pair)
        if len(self._withheld) >= self._most:
            raise self._stop(f"the last {len(self._withheld)} questions all failed")

    def rejected(self, pair: Pair, certain: bool) -> list[Pair]:
        """Record a rejected question; return the failures that are known to be questions' own.

        Raises:
            EndpointError: The endpoint rejects every question.
        """
        self._reached = True
        if certain or self._answered or self.vouched:
            return [pair]
        self._withheld.append(pair)
        self._doubts += 1
        if self._doubts >= DOUBTS:
            raise self._refusing()
        return []

    def call_failed(self, reached: bool, tries: int, detail: str) -> None:
        """Record a call without a reply.

        Raises:
            EndpointError: The endpoint was never reached.
        """
        self._reached |= reached
        if not self._reached and tries >= UNREACHED_TRIES:
            remedy = "start the server, or give its address by --base_url"
            self._release()
            raise self._endpoint.error(f"cannot be reached: {detail}", remedy)

    def ended(self) -> list[Pair]:
        """Record that all questions were asked; return the failures still withheld.

        Raises:
            EndpointError: None was answered.
        """
        if self._withheld and not self._answered:
            raise self._refusing() if self._doubts else self._stop("no question was answered")
        return self._release()

    def drop(self) -> None:
        """Drop the failures still withheld: the run ended before their cause was known."""
        self._release()

    def _refusing(self) -> EndpointError:
        return self._endpoint.refusal(self._release()[-1][1].detail)

    def _stop(self, what: str) -> EndpointError:
        detail = self._release()[-1][1].detail
        remedy = _LATER if self._answered or self.vouched else _NEVER
        return self._endpoint.error(f"{what}, the last of them: {detail}", remedy)

    def _release(self) -> list[Pair]:
        withheld, self._withheld, self._doubts = self._withheld, [], 0
        return withheld
