"""The server's patience: with a request that dawdles it ends, with an answer that takes long it does not."""

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import closing

import pytest

from evalkit.annotation import serving

HEAD = b"POST /%s HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
PATIENCE = 0.2


async def app(scope, receive, send):
    """Answer, on /late after longer than a request may take."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    while (await receive()).get("more_body", False):
        pass
    await asyncio.sleep(2 * PATIENCE if scope["path"] == "/late" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def served(monkeypatch, client):
    """Serve while a client, in a thread, talks to the port; return what it returned."""
    monkeypatch.setattr(serving, "SLOWEST", PATIENCE)
    told = []
    with closing(serving.listening_socket("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def talk():
            try:
                with closing(socket.create_connection(("127.0.0.1", port))) as connection:
                    connection.settimeout(10 * PATIENCE)
                    told.append(client(connection))
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=talk)
        serving.serve(app, listening, thread.start)
        thread.join()
    return told[0]


def answered(connection, place):
    """Ask for a place, and return what is said."""
    connection.sendall(HEAD % place + b"ab")
    said = b""
    while not said.endswith(b"ok"):
        said += connection.recv(1000)
    return said


@pytest.mark.parametrize(
    ("before", "begun"),
    [
        (0, b""), (0, HEAD[:20]), (0, HEAD % b"now"), (0, HEAD % b"now" + b"a"),
        (1, HEAD[:20]), (1, HEAD % b"now"),
    ],
)  # fmt: skip
def test_a_connection_on_which_a_request_dawdles_is_closed(monkeypatch, before, begun):
    def client(connection):
        for _ in range(before):
            answered(connection, b"now")
        start = time.monotonic()
        connection.sendall(begun)
        assert connection.recv(1000) == b""
        return time.monotonic() - start

    assert PATIENCE / 2 < served(monkeypatch, client) < 10 * PATIENCE


def test_an_answer_may_take_longer_and_the_connection_goes_on(monkeypatch):
    def client(connection):
        return [answered(connection, place) for place in (b"late", b"now", b"late")]

    for said in served(monkeypatch, client):
        assert said.startswith(b"HTTP/1.1 200")
