"""The one HTTP client of a process, lent to every channel."""

from __future__ import annotations

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 10.0
SPARE_CONNECTIONS: Final = 16
"""Connections beyond the send slots: health checks and template look-ups must not wait."""

_KEEP_SECONDS: Final = 30.0
_TIMEOUT: Final = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS).as_dict()


def open_client(slots: int) -> httpx.AsyncClient:
    """Make the client; close it when the process ends.

    It follows no redirect, keeps no cookie and takes no proxy from the environment: what one
    business's provider answers must not change where another one's token goes.

    Args:
        slots: how many messages the process sends at once.
    """
    connections = slots + SPARE_CONNECTIONS
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return _Client(
        transport=_Transport(limits),
        timeout=httpx.Timeout(**_TIMEOUT),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


class _Client(httpx.AsyncClient):
    """Sends a finished request without what we never do: sign in, follow redirects, keep cookies.

    That machinery cost more than the exchange itself. Who asks for it gets it.
    """

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **asked: Any
    ) -> httpx.Response:
        """Send a request; `auth` and `follow_redirects` take the library's own way."""
        transport = self._transport
        if (
            any(asked.values())
            or self.is_closed
            or request.url.userinfo
            or not isinstance(transport, _Transport)
        ):
            return await super().send(request, stream=stream, **asked)
        request.extensions.setdefault("timeout", _TIMEOUT)
        response = await transport.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


class _Transport(AiohttpTransport):
    """Bounds each exchange as a whole, and does not call a lost answer "not connected".

    The library reports every broken connection as a failed connect, also one that broke after
    the request had left; whoever believed that would send a message twice.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        super().__init__(trust_env=False, limits=limits, client=self._open_session)
        self._size = limits.max_connections or 0

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._size, keepalive_timeout=_KEEP_SECONDS, ssl=self.ssl_context
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the time limit covers the whole answer's head, and then its body."""
        ends_at = asyncio.get_running_loop().time() + TOTAL_SECONDS
        try:
            async with asyncio.timeout_at(ends_at):
                response = await self._exchange(request)
        except httpx.TransportError as error:
            raise _named(error) from error.__cause__
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time") from error
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - says so to mypy
        response.stream = _Bounded(response.stream, ends_at)
        return response

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        """Do what the library does, without taking headers and address apart once more."""
        session = self.client
        if not isinstance(session, aiohttp.ClientSession):
            session = self.client = self._open_session()
        try:
            content = request.content
        except httpx.RequestNotRead:
            return await super().handle_async_request(request)
        asked = request.extensions.get("timeout", _TIMEOUT)
        headers = [
            (name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw
        ]
        with map_aiohttp_exceptions():
            answer = await session.request(
                request.method,
                str(request.url),
                headers=headers,
                data=content or None,
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(
                    sock_connect=asked.get("connect"),
                    sock_read=asked.get("read"),
                    connect=asked.get("pool"),
                ),
                server_hostname=request.extensions.get("sni_hostname"),
            )
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=AiohttpResponseStream(answer),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
        )


class _Bounded(httpx.AsyncByteStream):
    """A body that must arrive before the exchange's end."""

    def __init__(self, stream: httpx.AsyncByteStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._ends_at):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise httpx.ReadTimeout("the answer did not end in time") from error
            yield chunk

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._stream.aclose()


def _named(error: httpx.TransportError) -> httpx.TransportError:
    """Return the error by what happened: connecting failed, or the answer was lost."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout(str(error))
    if isinstance(cause, aiohttp.ClientConnectorError):
        return httpx.ConnectError(str(error))
    if isinstance(error, httpx.ConnectTimeout):
        return httpx.ReadError(str(error))
    return error
