"""Runs the application on a port of this machine."""

from __future__ import annotations

import errno
import signal
import socket
import struct
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from plugins.whatsapp.simulator.accidents import ABORT

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar import Litestar

_PORTS_TRIED: Final = 50
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_LINGER_NOT: Final = struct.pack("ii", 1, 0)  # closing sends a reset instead of a farewell


class AbortableProtocol(HttpToolsProtocol):
    """HTTP whose connection the application can break off."""

    def on_message_begin(self) -> None:
        """Begin a request; its scope knows how to break the connection off."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {ABORT: self.break_off}

    def break_off(self) -> None:
        """Reset the connection."""
        found = self.transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()


class Server(uvicorn.Server):
    """A server that says on standard output when it listens."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Turn a signal into an orderly end; uvicorn's own way then dies of the signal."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(f"simulator ready {self._address}\n")
            sys.stdout.flush()


def open_socket(host: str, port: int) -> socket.socket:
    """Bind to the port, or to the next free one when it is taken; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if port == 0 else range(port, min(port + _PORTS_TRIED, 65_536)):
        # Named as TCP: asyncio switches Nagle's delay off only for sockets that say so.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            # Listening at once keeps another program from taking the port in between.
            listener.listen(2048)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return listener
    raise OSError(errno.EADDRINUSE, f"ports {port} to {port + _PORTS_TRIED - 1} are all taken")


def build_server(app: Litestar, address: str) -> Server:
    """Return a quiet server for the application."""
    config = uvicorn.Config(
        app,
        http=AbortableProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    return Server(config, address)
