"""The annotation page as a browser without a screen sees it: over HTTP, with its cookie, read as HTML."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlsplit

from evalkit.experiments.simulated_annotators.config import PATIENCE

_LATER = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser makes of the page."""

    data: Mapping[str, object]
    """The JSON that the page's script reads."""
    prompt: str
    answers: tuple[str, ...]
    """As shown, from left to right."""
    waiting: bool
    """Whether the page says that a task may come."""
    text: str
    """The whole of it."""


class PageRefusedError(RuntimeError):
    """The server did not do what an annotator asked."""


class PageBrowser:
    """One annotator's connection: keeps the cookie, and asks again where the server went away."""

    def __init__(self, link: str, patience: float = PATIENCE) -> None:
        parts = urlsplit(link)
        self._place = parts.netloc
        self._link = parts.path
        self._patience = patience
        self._connection: http.client.HTTPConnection | None = None
        self._cookie = ""
        self._csrf = ""
        self.seconds = 0.0
        """What the last request took, without the tries that failed."""
        self.tries = 0

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def sign_in(self) -> None:
        """Open the personal link."""
        status, headers, _ = self._ask("GET", self._link)
        if status != 303:
            raise PageRefusedError(f"signing in: {status}")
        self._cookie = headers["Set-Cookie"].partition(";")[0]

    def page(self) -> Page:
        """Look at the task in hand."""
        status, _, body = self._ask("GET", "/")
        if status != 200:
            raise PageRefusedError(f"the page: {status}")
        page = read_page(body.decode())
        self._csrf = str(page.data["csrf"])
        return page

    def post(self, kind: str, said: Mapping[str, object]) -> str:
        """Send what the page's script would, the same again until an answer comes back; return its state."""
        headers = {
            "Content-Type": "application/json",
            "Origin": f"http://{self._place}",
            "Sec-Fetch-Site": "same-origin",
            "X-CSRF-Token": self._csrf,
        }
        status, _, body = self._ask("POST", f"/{kind}", json.dumps(said).encode(), headers)
        told = json.loads(body)
        if status != 200:
            raise PageRefusedError(f"{kind}: {status} {told}")
        return str(told["state"])

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        sent = {"Cookie": self._cookie, **(headers or {})}
        end = time.monotonic() + self._patience
        self.tries = 0
        while True:
            self.tries += 1
            start = time.monotonic()
            try:
                connection = self._connection or http.client.HTTPConnection(self._place, timeout=30)
                connection.request(method, path, body, sent)
                response = connection.getresponse()
                found = response.status, response.headers, response.read()
                self._connection = connection
                if response.status not in _LATER:
                    self.seconds = time.monotonic() - start
                    return found
            except (OSError, http.client.HTTPException):
                idle = self._connection is not None and self.tries == 1
                self.close()
                self._connection = None
                if idle:  # the server may have closed what nobody used for a while
                    self.tries = 0
                    continue
            if time.monotonic() > end:
                raise PageRefusedError(f"{method}: no answer within {self._patience} s")
            time.sleep(0.1)


class _PageReader(HTMLParser):
    """Gathers the script's data, the prompt and the answers as they were written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = ""
        self.prompt = ""
        self.answers: list[str] = []
        self.waiting = False
        self._inside = ""
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice where a part begins."""
        given = dict(attrs)
        self.waiting = self.waiting or "data-waiting" in given
        if tag == "script" and given.get("id") == "page":
            self._inside = "data"
        elif self._inside in ("prompt", "answer"):
            self._depth += tag == "div"
        elif tag == "div" and given.get("class") == "turn":
            self._inside, self._depth = "prompt", 1
        elif tag == "div" and given.get("data-text") == "raw":
            self._inside, self._depth = "answer", 1
            self.answers.append("")

    def handle_endtag(self, tag: str) -> None:
        """Notice where a part ends."""
        if self._inside == "data" and tag == "script":
            self._inside = ""
        if self._inside in ("prompt", "answer") and tag == "div":
            self._depth -= 1
            self._inside = self._inside if self._depth else ""

    def handle_data(self, data: str) -> None:
        """Keep a text that belongs to a part."""
        if self._inside == "data":
            self.data += data
        elif self._inside == "prompt":
            self.prompt += data
        elif self._inside == "answer":
            self.answers[-1] += data


def read_page(text: str) -> Page:
    """Read a page as a browser does: its data and what is to be seen."""
    reader = _PageReader()
    reader.feed(text)
    reader.close()
    answers = tuple(answer.strip() for answer in reader.answers)
    return Page(json.loads(reader.data), reader.prompt.strip(), answers, reader.waiting, text)
