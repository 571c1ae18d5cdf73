"""A TCP relay that does to a connection what networks do: delay, swallow, cut, reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Coroutine

CHUNK = 65_536
LINGER_NOT = struct.pack("ii", 1, 0)

Mode = Literal["pass", "reset", "swallow", "refuse"]


class CutProxy:
    """Relays to one address; runs in a thread of its own.

    Attributes:
        port: where it listens.
        latency: seconds each chunk waits.
        mode: what happens to new and open connections.
        cut_after: reset the connection once so many bytes have come from the client.
        cut_on: reset the connection before a chunk from the client that holds these bytes.
        cuts: how many connections were broken.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.latency = 0.0
        self.mode: Mode = "pass"
        self.cut_after: int | None = None
        self.cut_on: bytes | None = None
        self.cuts = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._call(self._listen())

    def cut_all(self) -> None:
        """Reset every open connection."""
        self._call(self._cut_all())

    def close(self) -> None:
        """Stop, and cut what is open."""
        self._server.close()
        self._call(self._cut_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _cut_all(self) -> None:
        for writer in tuple(self._writers):
            self._reset(writer)
        # The relays notice on the next turn of the loop, and end.
        await asyncio.sleep(0.05)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.mode == "refuse":
                self._reset(writer)
                return
            onward = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(onward[1])
            try:
                await asyncio.gather(
                    self._pump(reader, onward[1], writer, from_client=True),
                    self._pump(onward[0], writer, onward[1], from_client=False),
                )
            finally:
                self._writers.discard(onward[1])
                onward[1].close()
        except OSError:
            self._reset(writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        from_client: bool,
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.latency:
                    await asyncio.sleep(self.latency)
                passed += len(chunk)
                if self.mode == "swallow":
                    continue
                if from_client and self._cuts_here(passed, chunk):
                    if self.cut_after is not None:
                        writer.write(chunk[: max(0, self.cut_after - (passed - len(chunk)))])
                        await writer.drain()
                        # The cut must not overtake the bytes that were to arrive before it.
                        await asyncio.sleep(0.02)
                    self.cuts += 1
                    self._reset(writer)
                    self._reset(back)
                    return
                writer.write(chunk)
                await writer.drain()
            writer.close()

    def _cuts_here(self, passed: int, chunk: bytes) -> bool:
        if self.mode == "reset":
            return True
        if self.cut_after is not None and passed > self.cut_after:
            return True
        return self.cut_on is not None and self.cut_on in chunk

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> None:
        found = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        writer.transport.abort()
