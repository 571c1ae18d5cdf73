"""A receiver of callbacks on this machine that keeps what came and answers by a script."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Call:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """Return the body, read."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    def verified_by(self, secret: str) -> bool:
        """Verify as the text of Standard Webhooks says, without a line of the product."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join(
            (
                self.headers["webhook-id"].encode(),
                self.headers["webhook-timestamp"].encode(),
                self.body,
            )
        )
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(
            part.partition(",")[0] == "v1" and hmac.compare_digest(part.partition(",")[2], wanted)
            for part in self.headers["webhook-signature"].split(" ")
        )


@dataclass
class Receiver:
    """Answers each call by the next word of its script, and with 204 when that is used up.

    Words: a status with headers as `429 Retry-After: 60`; `hang` says nothing; `huge` sends a
    body without end, `bomb` one that unpacks to a thousand times as much; `drip` sends a body byte
    by byte; `slow-head` drips the head; `reset` ends the connection.
    """

    port: int = 0
    script: list[str] = field(default_factory=list)
    always: str = ""
    calls: list[Call] = field(default_factory=list)
    written: int = 0
    open: int = 0
    most_open: int = 0
    pause: float = 0.0

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take calls on one connection until it ends."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._take(reader, writer):
                pass
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.calls.append(Call(lines[0].split(" ")[1], headers, body))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            word = self.script.pop(0) if self.script else self.always
            return await self._answer(word, reader, writer)
        finally:
            self.open -= 1

    async def _answer(
        self, word: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self.pause:
            await asyncio.sleep(self.pause)
        if word == "hang":
            await reader.read()
        elif word in ("huge", "bomb"):
            packed = b"Content-Encoding: gzip\r\n" if word == "bomb" else b""
            writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 1000000000\r\n\r\n" % packed)
            block = gzip.compress(b"\0" * 50_000_000) if word == "bomb" else b"x" * 65_536
            while True:
                writer.write(block)
                await writer.drain()
                self.written += len(block)
        elif word in ("drip", "slow-head"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n")
            writer.write(b"\r\n" if word == "drip" else b"X-Slow: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        elif word and word != "reset":
            status, _, header = word.partition(" ")
            extra = f"{header}\r\n" if header else ""
            writer.write(f"HTTP/1.1 {status} Said\r\n{extra}Content-Length: 0\r\n\r\n".encode())
        elif not word:
            writer.write(OK)
        await writer.drain()
        return word != "reset"


@contextlib.asynccontextmanager
async def listening(**fields: Any) -> AsyncIterator[Receiver]:
    """Run a receiver on a port of its own."""
    receiver = Receiver(**fields)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
