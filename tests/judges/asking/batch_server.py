"""A small Batch API over real HTTP, whose batches end as a test says."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-secret-of-the-test"


def completion(text: str = "It is short. [[A]]", **usage: int) -> dict:
    counts = {"prompt_tokens": 100, "completion_tokens": 10, **usage}
    message = {"role": "assistant", "content": text}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": counts}


def answered(key: str, text: str = "It is short. [[A]]") -> dict:
    return {"custom_id": key, "response": {"status_code": 200, "body": completion(text)}, "error": None}


def refused(key: str, status: int = 400, code: str = "invalid_request", message: str = "no") -> dict:
    body = {"error": {"code": code, "message": message}}
    return {"custom_id": key, "response": {"status_code": status, "body": body}, "error": None}


def unasked(key: str, code: str = "batch_expired") -> dict:
    return {"custom_id": key, "response": None, "error": {"code": code, "message": "not asked in time"}}


@dataclass
class Script:
    """How the server behaves; each list is used up from its front, then the usual happens."""

    ends: list[str] = field(default_factory=list)
    """The status in which each batch ends; `completed` is usual."""
    looks: int = 0
    """Looks at a batch before it has ended."""
    rows: Callable[[str], dict | str | None] = answered
    """What comes of a request, by its key: a line of results, one that is no JSON, or none."""
    creations: list[str] = field(default_factory=list)
    """Faults of creating batches: `cut` (created, then the connection ends), `429`, `500`, `400`."""
    uploads: list[str] = field(default_factory=list)
    """Faults of uploading: `404`."""


class BatchServer:
    """Serves until its block ends; remembers what it was asked."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}
        self.looks: dict[str, int] = {}
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"server_state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "BatchServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def requests(self) -> list[list[dict]]:
        """What each batch was created to ask."""
        return [self._lines(batch["input_file_id"]) for batch in self.batches.values()]

    def asked(self) -> list[str]:
        """The key of every request of every batch."""
        return [row["custom_id"] for rows in self.requests() for row in rows]

    def _lines(self, file: str) -> list[dict]:
        return [json.loads(line) for line in self.files[file].splitlines()]

    def create(self, values: dict) -> dict:
        name = f"batch_{len(self.batches)}"
        now = int(time.time())
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "in_progress",
            "created_at": now,
            "ends": self.script.ends.pop(0) if self.script.ends else "completed",
            **values,
        }
        return self.batches[name]

    def look(self, name: str) -> dict:
        batch = self.batches[name]
        self.looks[name] = self.looks.get(name, 0) + 1
        if self.looks[name] > self.script.looks and batch["status"] == "in_progress":
            self._end(batch)
        return batch

    def _end(self, batch: dict) -> None:
        batch["status"] = batch["ends"]
        batch[f"{batch['ends']}_at"] = batch["created_at"] + 60
        if batch["ends"] == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "too_many", "message": "queue full"}]}
            return
        rows = [self.script.rows(row["custom_id"]) for row in self._lines(batch["input_file_id"])]
        fine = [row for row in rows if isinstance(row, str) or (row and row["response"])]
        wrong = [row for row in rows if isinstance(row, dict) and not row["response"]]
        for kind, found in (("output", fine), ("error", wrong)):
            if found:
                texts = [
                    row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in found
                ]
                self.files[f"{kind}-{batch['id']}"] = ("\n".join(texts) + "\n").encode()
                batch[f"{kind}_file_id"] = f"{kind}-{batch['id']}"
        counts = {"total": len(rows), "completed": len(fine), "failed": len(wrong)}
        batch["request_counts"] = counts


class _Handler(BaseHTTPRequestHandler):
    server_state: BatchServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server_state
        path, _, query = self.path.partition("?")
        if not self._allowed():
            return
        with state.lock:
            if path == "/v1/batches":
                named = re.search(r"after=(\w+)", query)
                names = list(reversed(state.batches))
                names = names[names.index(named[1]) + 1 :] if named else names
                data = [state.batches[name] for name in names[:2]]  # small pages, to be turned
                self._send(200, {"object": "list", "data": data, "has_more": len(names) > 2})
            elif found := re.fullmatch(r"/v1/batches/(\w+)", path):
                known = found[1] in state.batches
                self._send(200 if known else 404, state.look(found[1]) if known else _said("no such batch"))
            elif found := re.fullmatch(r"/v1/files/([\w-]+)/content", path):
                self._send_bytes(200, state.files[found[1]])

    def do_POST(self) -> None:
        state = self.server_state
        content = self.rfile.read(int(self.headers["content-length"]))
        if not self._allowed():
            return
        with state.lock:
            if self.path == "/v1/files":
                if state.script.uploads:
                    self._send(int(state.script.uploads.pop(0)), _said("no such page"))
                    return
                name = f"file-{len(state.files)}"
                state.files[name] = _part(content, self.headers["content-type"])
                self._send(200, {"id": name, "object": "file", "purpose": "batch"})
                return
            fault = state.script.creations.pop(0) if state.script.creations else ""
            if fault.isdigit():
                self._send(int(fault), _said(f"no: {KEY}"))
                return
            batch = state.create(json.loads(content))
            if fault == "cut":
                self.close_connection = True
                return
            self._send(200, batch)

    def _allowed(self) -> bool:
        allowed = self.headers["authorization"] == f"Bearer {KEY}"
        if not allowed:
            self._send(401, _said(f"wrong key: {self.headers['authorization']}"))
        return allowed

    def _send(self, status: int, value: dict) -> None:
        self._send_bytes(status, json.dumps(value).encode())

    def _send_bytes(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _text(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False)


def _said(message: str) -> dict:
    return {"error": {"message": message, "code": "test"}}


def _part(content: bytes, kind: str) -> bytes:
    """The file of a multipart form."""
    boundary = re.search(r"boundary=(\S+)", kind)[1].encode()
    for part in content.split(b"--" + boundary):
        head, _, body = part.partition(b"\r\n\r\n")
        if b"filename=" in head:
            return body.removesuffix(b"\r\n")
    raise AssertionError("a form without a file")
