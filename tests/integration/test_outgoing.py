"""The HTTP client that channels are lent, against a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx
import pytest

from core.notify import outgoing
from core.notify.outgoing import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Answer = bytes | None


@contextlib.asynccontextmanager
async def answering(*parts: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve: read a request, write the parts, hang at a None, then hang up."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            if part is None:
                await reader.read()
            else:
                writer.write(part)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}/x", heard


async def test_a_lost_answer_is_not_called_a_failed_connect() -> None:
    """A connection that breaks after the request had left may not look as if it never left."""
    async with answering() as (url, heard), open_client(4) as http:
        with pytest.raises(httpx.ReadError):
            await http.post(url, content=b"hello")
        assert len(heard) == 1


async def test_a_refused_connection_is_called_that(free_port: Callable[[], int]) -> None:
    """Where nobody listens, nothing left: the message can be tried again."""
    async with open_client(4) as http:
        with pytest.raises(httpx.ConnectError):
            await http.post(f"http://127.0.0.1:{free_port()}/x", content=b"hello")


@pytest.mark.parametrize(
    "parts",
    [(None,), (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", None)],
    ids=["no head", "half a body"],
)
async def test_an_answer_that_does_not_end_is_cut_off(
    parts: tuple[Answer, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole exchange has one time limit, the body included."""
    monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 0.3)
    async with answering(*parts) as (url, _), open_client(4) as http:
        async with asyncio.timeout(5):
            with pytest.raises(httpx.ReadTimeout):
                await http.post(url, content=b"hello")


async def test_nothing_of_one_answer_reaches_the_next_call() -> None:
    """Redirects are not followed and cookies are not kept: businesses share this client."""
    moved = (
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\nset-cookie: a=b\r\n"
        b"content-length: 0\r\nconnection: close\r\n\r\n"
    )
    async with answering(moved) as (url, heard), open_client(4) as http:
        first = await http.post(url, content=b"")
        await http.post(url, content=b"")
    assert first.status_code == 302
    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()
