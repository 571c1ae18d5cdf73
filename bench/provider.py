"""A lean stand-in of a provider: answers after 20 ms and writes down what it took.

    python -m bench.provider --port 9200 --journal FILE

One line per accepted message: the callback id that came with it. Judge lost and doubled by it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class _Told(msgspec.Struct):
    """The one field of a send that is looked at."""

    biz_opaque_callback_data: str


_read = msgspec.json.Decoder(_Told).decode


class Provider(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, latency: float, note: Callable[[str], None]) -> None:
        self._latency = latency
        self._note = note
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport  # type: ignore[assignment]  # a stream's is one

    def data_received(self, data: bytes) -> None:
        """Collect a request; note it, and answer it later."""
        self._buffer += data
        head, found, rest = bytes(self._buffer).partition(_HEAD_END)
        if not found or len(rest) < (length := _length_of(head)):
            return
        del self._buffer[: len(head) + len(_HEAD_END) + length]
        callback = _read(rest[:length]).biz_opaque_callback_data
        self._note(callback)
        asyncio.get_running_loop().call_later(self._latency, self._answer, callback)

    def _answer(self, callback: str) -> None:
        body = (
            b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.%b"}]}' % callback.encode()
        )
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head % len(body) + body)


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            return int(line[len(_LENGTH) :])
    return 0


async def serve(port: int, journal: Path, latency: float) -> None:
    """Answer until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    with journal.open("a", buffering=1) as file:

        def note(callback: str) -> None:
            file.write(f"{callback}\n")

        server = await loop.create_server(lambda: Provider(latency, note), "127.0.0.1", port)
        await stop.wait()
        server.close()


def main() -> None:
    """Run as a process of its own."""
    parser = argparse.ArgumentParser(prog="bench.provider", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.020, help="seconds")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, options.journal, options.latency))


if __name__ == "__main__":
    main()
