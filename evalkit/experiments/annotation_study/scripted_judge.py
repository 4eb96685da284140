"""An OpenAI-compatible endpoint behind which a judge sits whose errors are known, for experiments."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Says = Callable[[str], str]
"""Returns A, B or C for all that is asked in one call."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    says: Says


class _Calls(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Answer one call for a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = "\n".join(message["content"] for message in body["messages"])
        reply = f"I weighed both answers. [[{self.server.says(question)}]]"
        message = {"role": "assistant", "content": reply}
        told = {
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": len(question) // 4, "completion_tokens": len(reply) // 4},
        }
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the terminal for the commands."""


@contextmanager
def judge_endpoint(says: Says) -> Iterator[str]:
    """Serve on a free port of this machine while the block runs; gives the base URL."""
    with _Server(("127.0.0.1", 0), _Calls) as server:
        server.says = says
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
