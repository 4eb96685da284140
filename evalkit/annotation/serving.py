"""Serves a web application: binds the port first, and releases it on SIGTERM or Ctrl-C."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rewards.errors import ConfigError

PATIENCE = 5
"""Seconds that requests have to end in, once the server is told to stop."""
SLOWEST = 30.0
"""Seconds that a request has to arrive in whole."""
KEPT_OPEN = 75
"""Seconds for which a connection waits for its next request: people read before they answer."""
QUEUE = 2048
"""Connections that wait to be taken up."""

_REFUSED = {
    errno.EADDRINUSE: "another program listens there, perhaps this page already; end that or choose another "
    "--port (0 takes any that is free)",
    errno.EADDRNOTAVAIL: "this machine has no such address; 127.0.0.1 is reached from this machine alone, "
    "0.0.0.0 from others too",
    errno.EACCES: "the system keeps this port for itself; choose a --port above 1023",
}


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that no other process can take the port.

    Raises:
        ConfigError: The port is taken or not permitted, or the host is no address of this machine.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"host {host!r} is not known; give a name or number of this machine") from None
    family, kind, protocol, _, place = addresses[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # A port whose last connections are just ending is free to take: a restart need not wait for them.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(QUEUE)
    except OSError as error:
        listening.close()
        if error.errno not in _REFUSED:
            raise
        raise ConfigError(f"{host}, port {port}: {_REFUSED[error.errno]}") from None
    return listening


class _Impatient(H11Protocol):
    """Closes connections without a request in time, so that slow ones cannot use up all."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_waiting()

    def _await_request(self) -> None:
        # Called where something arrived: between two requests the server has a shorter patience of its own.
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._end_waiting()
        elif self._late is None:
            self._late = self.loop.call_later(SLOWEST, self.transport.close)

    def _end_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def serve(app: ASGIApp, listening: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until stopped; return on SIGTERM, raise KeyboardInterrupt on Ctrl-C.

    Requests are not logged, as their URLs may hold a link's token.

    Args:
        app: The application.
        listening: The listening socket.
        announce: Called once the server can be stopped; connections are then accepted.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # Whoever can send a request could else say where it came from; --address says what is true.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEPT_OPEN,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = uvicorn.Server(config)

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # as signals call it
        server.should_exit = True

    # Once it serves, the server has handlers of its own, stops gracefully, and hands the signal on to these.
    before = signal.signal(signal.SIGTERM, stop)
    try:
        announce()
        server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)
