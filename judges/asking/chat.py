"""ChatClient, one call to an OpenAI-compatible endpoint: a reply, or an error with its remedy."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from importlib import import_module
from typing import cast

import openai

from judges.asking.backoff import retry_after
from judges.asking.endpoint import OF_THE_CONTENT, CallFailedError, Endpoint, EndpointError, RejectedError
from judges.asking.session import OPENAI
from judges.questions.question import Question
from judges.questions.reply import Reply, reply_from_body, request_body
from rewards.errors import DataError

CONNECT_SECONDS = 10.0
CONNECTIONS = 4
"""Connections of one pool: for each call a pool looks at all that are idle, so one large one is slow."""
NO_KEY = "none"
"""Placeholder for endpoints without keys, since the SDK requires one."""

_TOO_MUCH = (429, 503, 529)
_TRY_AGAIN = (408, 409, 425)

_OF_THE_LENGTH = ("context_length_exceeded", "string_above_max_length", "request_too_large")
_OF_THE_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_OF_THE_SETTINGS = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found")

_KEY = "give a valid key by --api_key or OPENAI_API_KEY"


class ChatClient:
    """Asks one model of one endpoint; belongs to the event loop in which it is first used.

    It never retries: the SDK's own retries are off, and the caller handles limits and tries.
    """

    def __init__(self, endpoint: Endpoint, api_key: str, timeout: float, connections: int) -> None:
        """Prepare the client; nothing is sent.

        Args:
            endpoint: Address and model.
            api_key: Empty is none.
            timeout: Seconds for a whole call.
            connections: Maximum concurrent calls.

        Raises:
            EndpointError: There is no key, and the endpoint is OpenAI's own.
        """
        self.endpoint, self._key, self._timeout = endpoint, api_key, timeout
        if not api_key and endpoint.url == OPENAI:
            raise self._error("there is no key", f"{_KEY}, or another endpoint by --base_url")
        limits = openai.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        pools = max(1, -(-connections // CONNECTIONS))
        trusted = _trusted()
        self._pools = [
            openai.AsyncOpenAI(
                api_key=api_key or NO_KEY,
                base_url=endpoint.url,
                timeout=limits,
                max_retries=0,
                default_headers=endpoint.headers,
                default_query=endpoint.query,
                http_client=openai.DefaultAsyncHttpxClient(verify=trusted),
            )
            for _ in range(pools)
        ]
        self._turn = 0

    async def ask(self, question: Question) -> Reply:
        """Ask once.

        Raises:
            CallFailedError: No usable reply; it may be tried again.
            RejectedError: The endpoint will not answer this question.
            EndpointError: The endpoint will not answer any question.
        """
        began = time.perf_counter()
        text = await self._post(request_body(question, self.endpoint.model))
        latency = time.perf_counter() - began
        if not text.strip():
            raise CallFailedError("the endpoint sent an empty body", charged=True)
        try:
            body = json.loads(text)
            self._look_for_error(body)
            return reply_from_body(body, latency)
        except (ValueError, RecursionError) as error:
            problem = (
                str(error) if isinstance(error, DataError) else f"the endpoint sent no JSON but {text[:80]!r}"
            )
            raise CallFailedError(self._line(problem), charged=True) from None

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools:
            await pool.close()

    async def _post(self, body: dict[str, object]) -> str:
        self._turn = (self._turn + 1) % len(self._pools)
        pool = self._pools[self._turn]
        try:
            async with asyncio.timeout(self._timeout):
                # The low-level call, as the SDK's typed one takes half as much processor time again.
                return await pool.post("/chat/completions", body=body, cast_to=str)
        except (TimeoutError, openai.APITimeoutError) as error:
            connecting = type(error.__cause__).__name__ == "ConnectTimeout"
            problem = "no connection" if connecting else f"no whole reply within {self._timeout:g} s"
            raise CallFailedError(
                problem, not connecting, reached=not connecting, charged=not connecting
            ) from None
        except openai.APIConnectionError as error:
            refused = type(error.__cause__).__name__ in ("ConnectError", "UnsupportedProtocol", "InvalidURL")
            problem = self._line(
                f"no connection ({error.__cause__ or error})" if refused else "connection cut"
            )
            raise CallFailedError(problem, reached=not refused, charged=not refused) from None
        except openai.APIStatusError as error:
            headers = error.response.headers
            raise self._status(error.status_code, error.body or error.response.text, headers) from None
        except UnicodeEncodeError:
            raise RejectedError(
                "holds half a surrogate pair, which cannot be sent", "api_failed", True
            ) from None

    def _look_for_error(self, body: object) -> None:
        """Raise the error that some gateways send with a success status."""
        error = body.get("error") if isinstance(body, Mapping) and not body.get("choices") else None
        if error:
            code = error.get("code") if isinstance(error, Mapping) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            raise self._status(status, error, {})

    def _status(self, status: int, body: object, headers: Mapping[str, str]) -> Exception:
        values = body if isinstance(body, Mapping) else {}
        message = self._line(str(values.get("message") or values.get("detail") or body))
        codes = {str(values.get("code")), str(values.get("type"))}
        problem = f"{status}: {message}" if message else str(status)
        if status == 402 or codes.intersection(_OF_THE_MONEY):
            return self._error(f"the account is used up ({problem})", "pay it up, or use another key")
        if status in _TOO_MUCH:
            return CallFailedError(problem, overloaded=True, retry_after=retry_after(headers))
        if status >= 500 or status in _TRY_AGAIN:
            return CallFailedError(problem, retry_after=retry_after(headers))
        return self._refusal(status, codes, message, problem)

    def _refusal(self, status: int, codes: set[str], message: str, problem: str) -> Exception:
        if codes.intersection(OF_THE_CONTENT) or (status == 403 and "moderation" in message.lower()):
            return RejectedError(problem, "refused", True)
        if codes.intersection(_OF_THE_LENGTH) or status == 413 or "context length" in message.lower():
            return RejectedError(problem, "api_failed", True)
        if status in (401, 403):
            return self._error(f"the key is refused ({problem})", _KEY)
        if status == 404 or "model_not_found" in codes:
            named = "name a model that the endpoint lists under /models; base URLs mostly end in /v1"
            return self._error(f"no such model or address ({problem})", named)
        if codes.intersection(_OF_THE_SETTINGS) or status not in (400, 422):
            return self.endpoint.refusal(problem)
        return RejectedError(problem, "api_failed", False)

    def _error(self, what: str, remedy: str) -> EndpointError:
        return self.endpoint.error(self._line(what), remedy)

    def _line(self, text: str) -> str:
        return self.endpoint.line(text, self._key)


def _trusted() -> ssl.SSLContext:
    """Return the certificates to trust, read once for all pools, as that takes longer than a pool itself."""
    http = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__)  # httpx, or its successor
    return cast(ssl.SSLContext, http.create_ssl_context())
