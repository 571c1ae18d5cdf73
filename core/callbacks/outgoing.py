"""The HTTP client of callbacks: it connects only to addresses that were looked at.

It is not the channels' client: a receiver that hangs, or a name server that does not answer, must
not take a connection or a thread from the sending of messages.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from core.callbacks.addresses import check_address, check_url

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS: Final = 64
"""How many callbacks a process has on their way at once."""

_RESOLVING_THREADS: Final = 4
_KEEP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 2.0


class CheckedResolver(AbstractResolver):
    """Resolves names and refuses what leads into our own network.

    One forbidden address among several refuses the name: whoever mixes them means no good.

    Args:
        local: whether this machine is allowed, outside production.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, "callback-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, all of them looked at.

        Raises:
            ForbiddenAddressError: one does not belong to the open network.
            OSError: the name has no address.
        """
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, host, port, family
        )
        for one in found:
            check_address(one["host"], local=self._local)
        return list(found)

    async def close(self) -> None:
        """Let the threads go; one that still waits for a name server is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def open_callback_client(*, local: bool) -> httpx.AsyncClient:
    """Make the client; it follows no redirect, keeps no cookie, takes no proxy from outside.

    The time limit is not its own: whoever sends bounds the whole exchange.

    Args:
        local: whether this machine is allowed, outside production.
    """
    return httpx.AsyncClient(
        transport=_Transport(local=local),
        timeout=None,  # noqa: S113 - the sender's deadline covers the exchange as a whole
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


async def look_at(url: str, *, local: bool) -> None:
    """Look at a URL that somebody wants to be told at, and at the addresses of its name.

    A name that does not resolve yet passes; it is looked at again before each connection.

    Raises:
        ForbiddenAddressError: callbacks may not go there.
    """
    host = check_url(url, local=local).hostname or ""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            found = await asyncio.to_thread(_look_up, host, 0, socket.AF_UNSPEC)
    except (OSError, UnicodeError):
        return
    for one in found:
        check_address(one["host"], local=local)


class _Transport(AiohttpTransport):
    """Resolves with our own eyes, each time anew."""

    def __init__(self, *, local: bool) -> None:
        super().__init__(trust_env=False, client=self._open_session)
        self._resolver = CheckedResolver(local=local)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS,
            keepalive_timeout=_KEEP_SECONDS,
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=self.ssl_context,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def aclose(self) -> None:
        """Close the connections and let the resolver's threads go."""
        await super().aclose()
        await self._resolver.close()


def _look_up(host: str, port: int, family: int) -> Sequence[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [
        ResolveResult(
            hostname=host,
            # A scope such as `%eth0` stands in the fourth part; it is put back to be refused.
            host=str(address[0]) if len(address) < 4 or not address[3] else f"{address[0]}%",  # noqa: PLR2004 - a socket address of version 6 has four parts
            port=int(address[1]),
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]
