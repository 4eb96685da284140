"""Client of the Batch API: submit a file of requests once, poll its state, and read the outcomes."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import openai

from judges.asking.backoff import Backoff
from judges.asking.endpoint import OF_THE_CONTENT, Endpoint, EndpointError
from judges.asking.session import OPENAI

if TYPE_CHECKING:
    from openai.types import Batch as Answer

PATH: Literal["/v1/chat/completions"] = "/v1/chat/completions"
MARK = "evalkit"
"""Metadata by which a batch is found whose creation was not answered."""

UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling")

_NO_KEY = "none"
_UNASKED = ("batch_expired", "batch_cancelled")
_CLOCKS = 3600
"""Seconds by which the endpoint's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class BatchState:
    """State of a batch at its endpoint."""

    name: str
    status: str
    """As the endpoint says, such as `in_progress`, `completed` or `expired`; `missing` where it has none."""
    done: int = 0
    total: int = 0
    files: tuple[str, ...] = ()
    """The files of its results, where there are any."""
    message: str = ""
    """Why it failed."""
    time: str = ""
    """When it ended, ISO 8601, UTC."""

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.status not in UNDER_WAY


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """Outcome of one request of a batch."""

    key: str
    state: Literal["answered", "refused", "api_failed", "unasked"]
    body: object = None
    """The chat completion, where it was answered."""
    detail: str = ""


class BatchRefusedError(EndpointError):
    """A batch that the endpoint certainly did not accept."""


class _MissingError(EndpointError):
    """The endpoint does not know the file or batch."""


class BatchClient:
    """Submits batches and polls them; every error names the endpoint and never the key."""

    def __init__(self, endpoint: Endpoint, api_key: str, timeout: float, tries: int) -> None:
        """Make ready; nothing is sent.

        Raises:
            EndpointError: There is no key, and the endpoint is OpenAI's own.
        """
        self.endpoint, self._key, self._tries, self._backoff = endpoint, api_key, tries, Backoff()
        if not api_key and endpoint.url == OPENAI:
            raise endpoint.error("there is no key", "give one by --api_key or OPENAI_API_KEY")
        self._client = openai.OpenAI(
            api_key=api_key or _NO_KEY,
            base_url=endpoint.url,
            timeout=timeout,
            max_retries=tries - 1,
            default_headers=endpoint.headers,
            default_query=endpoint.query,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def upload(self, requests: BinaryIO, mark: str) -> str:
        """Send a file of requests and return its name.

        Args:
            requests: JSON lines, one request each.
            mark: Name of the file.

        Raises:
            EndpointError: The endpoint does not accept it.
        """
        with self._explained():
            return self._client.files.create(file=(f"{mark}.jsonl", requests), purpose="batch").id

    def create(self, file: str, mark: str) -> str:
        """Create a batch from an uploaded file and return the batch's name.

        An interrupted call may have succeeded: before a retry, the batch is searched for.

        Args:
            file: The file's name.
            mark: Metadata by which the batch is found.

        Raises:
            BatchRefusedError: The endpoint does not accept it.
            EndpointError: It is not known whether the endpoint has accepted it.
        """
        began, detail = time.time(), ""
        once = self._client.with_options(max_retries=0)
        for number in range(1, self._tries + 1):
            try:
                batch = once.batches.create(
                    input_file_id=file, endpoint=PATH, completion_window="24h", metadata={MARK: mark}
                )
                return batch.id
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                detail = self._line(str(error))
            except openai.APIError as error:
                raise BatchRefusedError(str(self._error(error))) from None
            time.sleep(self._backoff.delay(mark, number))
            name = self.find(mark, began)
            if name:
                return name
        raise self.endpoint.error(f"no batch could be handed over: {detail}", "try again later")

    def find(self, mark: str, since: float) -> str:
        """Return the name of the batch with a mark, empty where the endpoint has none.

        Args:
            mark: The mark it was created with.
            since: Unix time before which it cannot have been.
        """
        with self._explained():
            for batch in self._client.batches.list(limit=100):  # the newest first
                if batch.created_at < since - _CLOCKS:
                    break
                if (batch.metadata or {}).get(MARK) == mark:
                    return batch.id
        return ""

    def state(self, name: str) -> BatchState:
        """Return the state of a batch.

        Raises:
            EndpointError: The endpoint does not say.
        """
        try:
            with self._explained():
                return self._state(self._client.batches.retrieve(name))
        except _MissingError:
            return BatchState(name, "missing", message="the endpoint knows no such batch")

    def outcomes(self, file: str) -> Iterator[BatchOutcome | None]:
        """Yield the outcomes in a file of results, None for an unreadable line."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.jsonl"
            with self._explained(), self._client.files.with_streaming_response.content(file) as response:
                response.stream_to_file(path)
            with path.open("rb") as lines:  # in bytes, as a text may hold what ends a line elsewhere
                yield from (read_outcome(line) for line in lines if not line.isspace())

    def _state(self, batch: "Answer") -> BatchState:
        counts = batch.request_counts
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.failed_at
        errors = (batch.errors.data if batch.errors else None) or []
        return BatchState(
            batch.id,
            batch.status,
            counts.completed + counts.failed if counts else 0,
            counts.total if counts else 0,
            tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
            self._line("; ".join(str(error.message) for error in errors[:3])),
            datetime.fromtimestamp(ended or time.time(), UTC).isoformat(timespec="seconds"),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except openai.APIError as error:
            raise self._error(error) from None

    def _error(self, error: openai.APIError) -> EndpointError:
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            remedy = "give a valid key by --api_key or OPENAI_API_KEY"
            return self.endpoint.error(f"the key is refused ({self._line(str(error))})", remedy)
        if isinstance(error, openai.NotFoundError):
            remedy = "ask it without --batch, or with the key that handed the batch over"
            return _MissingError(str(self.endpoint.error("it has no such batches", remedy)))
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
        problem = f"the Batch API failed: {self._line(str(cause or error))}"
        return self.endpoint.error(problem, "nothing is lost: the same command goes on")

    def _line(self, text: str) -> str:
        return self.endpoint.line(text, self._key)


def read_outcome(line: bytes) -> BatchOutcome | None:
    """Read a line of a batch's results; None where it cannot be read."""
    try:
        values = json.loads(line)
        key, response = values["custom_id"], values.get("response")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    body = response.get("body") if isinstance(response, Mapping) else None
    if isinstance(response, Mapping) and response.get("status_code") == 200:
        return BatchOutcome(str(key), "answered", body)
    error = values.get("error") or (body.get("error") if isinstance(body, Mapping) else None)
    error = error if isinstance(error, Mapping) else {}
    code = str(error.get("code") or error.get("type") or "")
    detail = " ".join(str(error.get("message") or error.get("code") or body or "no response").split())[:300]
    if code in _UNASKED:
        return BatchOutcome(str(key), "unasked", detail=detail)
    return BatchOutcome(str(key), "refused" if code in OF_THE_CONTENT else "api_failed", detail=detail)
