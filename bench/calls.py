"""A lean HTTP client: as many calls at once as asked, over connections that stay open."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OK: Final = range(200, 300)


async def post_all(
    port: int, path: str, calls: Sequence[tuple[bytes, Mapping[str, str]]], *, together: int
) -> list[float]:
    """POST every body with its headers; returns the milliseconds that each answer took.

    Raises:
        RuntimeError: something was answered with another status than 2xx.
    """
    todo = iter(calls)
    took: list[float] = []
    await asyncio.gather(*(_caller(port, path, todo, took) for _ in range(together)))
    return took


async def _caller(
    port: int, path: str, todo: Iterator[tuple[bytes, Mapping[str, str]]], took: list[float]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for body, headers in todo:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = (
                f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n{lines}\r\n"
            )
            began = time.perf_counter()
            writer.write(head.encode() + body)
            status, answer = await _answer(reader)
            took.append((time.perf_counter() - began) * 1000)
            if status not in _OK:
                raise RuntimeError(f"POST {path}: {status} {answer[:300]!r}")
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    return int(lines[0].split()[1]), await reader.readexactly(length)
