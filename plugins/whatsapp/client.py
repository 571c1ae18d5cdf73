"""Calls Meta's Graph API through the host's pooled client, and says what became of each call."""

from __future__ import annotations

import asyncio
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import msgspec

from plugins.whatsapp.failures import failure, raised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.channels.host import Host
    from core.errors import SendError
    from plugins.whatsapp.settings import WhatsAppSettings

CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 10.0
BODY_LIMIT: Final = 1_000_000
PAGE_LIMIT: Final = 100
"""So many pages of a listing are read; at 100 rows each that is more than Meta allows to exist."""

_NEVER_LEFT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
_LEFT_AFTER_ALL: Final = "ClientConnectionError"
_CONNECTING: Final = frozenset({"ClientConnectorError", "ConnectionTimeoutError"})
_OK: Final = 200
_ALWAYS: Final = {"accept": "*/*", "user-agent": "patchbay"}
_TIMEOUT: Final = httpx.Timeout(
    TOTAL_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS
).as_dict()


class GraphClient:
    """Speaks to one Graph address for every business; holds no token.

    Args:
        host: lends the HTTP client and the clock.
        settings: the address, the version and the application.
    """

    __slots__ = ("_base", "_host", "_settings")

    def __init__(self, host: Host, settings: WhatsAppSettings) -> None:
        self._host = host
        self._settings = settings
        self._base = f"{settings.graph_url.rstrip('/')}/{settings.graph_version}"

    async def read(
        self, path: str, *, token: str, parameters: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """GET an object.

        Raises:
            SendError: the subclass says what to do.
        """
        return await self._call("GET", path, token=token, parameters=parameters)

    async def write(
        self, path: str, *, token: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """POST a JSON body, once.

        Raises:
            SendError: the subclass says what to do; `OutcomeUnknownError` when it may have
                arrived.
        """
        return await self._call("POST", path, token=token, body=body or {})

    async def read_all(
        self, path: str, *, token: str, parameters: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """GET every page of a listing.

        The next page is asked for by its cursor, never by the address in the answer: a token
        must not follow an address somebody else wrote.

        Raises:
            SendError: one of the pages could not be read.
        """
        rows: list[dict[str, Any]] = []
        asked = dict(parameters)
        for _ in range(PAGE_LIMIT):
            page = await self.read(path, token=token, parameters=asked)
            listed = page.get("data")
            if not isinstance(listed, list):
                raise raised("unreadable-answer", "a listing without data")
            rows.extend(row for row in listed if isinstance(row, dict))
            after = _next_cursor(page)
            if not after or after == asked.get("after"):
                return rows
            asked["after"] = after
        raise raised("unreadable-answer", "a listing without an end")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        token: str,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        status, headers, answer = await self._exchange(
            method,
            f"{self._base}/{quote(path, safe='/')}",
            parameters={**(parameters or {}), **self._proof(token)},
            # The gzip'd answer of a stranger could be a thousand times its size.
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
            body=body,
        )
        if status != _OK:
            raise failure(status, answer, headers, now=self._host.clock.now())
        try:
            decoded = msgspec.json.decode(answer)
        except (msgspec.DecodeError, RecursionError):
            raise raised("unreadable-answer", "HTTP 200 without JSON") from None
        if not isinstance(decoded, dict):
            raise raised("unreadable-answer", "HTTP 200 without an object")
        if "error" in decoded and "data" not in decoded:
            raise failure(400, answer, headers, now=self._host.clock.now())
        return decoded

    async def _exchange(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> tuple[int, dict[str, str], bytes]:
        content = None if body is None else msgspec.json.encode(body)
        kind = {} if content is None else {"content-type": "application/json"}
        try:
            # Built here, not by the client: its own defaults would be merged in once per call.
            request = httpx.Request(
                method,
                _address(url),
                params=parameters or None,
                headers={**_ALWAYS, **headers, **kind},
                content=content,
                extensions={"timeout": _TIMEOUT},
            )
            async with asyncio.timeout(TOTAL_SECONDS):
                response = await self._host.http.send(request, stream=True)
                try:
                    answer = await _first_bytes(response)
                finally:
                    await response.aclose()
        except Exception as error:  # noqa: BLE001 - a transport may raise what it likes after sending
            raise _line_fault(error) from None
        # An answer that is well needs no headers: only a refusal says when to come back.
        refused = _lower(response.headers) if response.status_code != _OK else {}
        return response.status_code, refused, answer

    def _proof(self, token: str) -> dict[str, str]:
        if not self._settings.appsecret_proof:
            return {}
        return {"appsecret_proof": appsecret_proof(self._settings.app_secret, token)}


def appsecret_proof(secret: str, token: str) -> str:
    """Return the proof that a call comes from a server that knows the app secret."""
    return hmac.digest(secret.encode(), token.encode(), "sha256").hex()


@lru_cache(maxsize=1024)
def _address(url: str) -> httpx.URL:
    """Read an address once: a number's messages all go to the same one."""
    return httpx.URL(url)


async def _first_bytes(response: httpx.Response) -> bytes:
    """Read the body up to the limit; what is longer will not decode and counts as unreadable."""
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > BODY_LIMIT:
            return b""
    return bytes(read)


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _line_fault(error: Exception) -> SendError:
    """Say whether the request can have arrived; when in doubt, it can."""
    name = type(error).__name__
    if isinstance(error, _NEVER_LEFT) and not _left_after_all(error):
        return raised("not-reached", name)
    return raised("no-answer", name)


def _left_after_all(error: BaseException) -> bool:
    """Tell whether a "connect" error stands for a connection that broke after we had sent.

    The aiohttp transport reports every `ClientConnectionError` as `ConnectTimeout`, also "server
    disconnected" and "reset by peer" while the answer was awaited. Taking its word would send a
    message twice.
    """
    cause = error.__cause__
    if cause is None:
        return False
    names = {parent.__name__ for parent in type(cause).__mro__}
    return _LEFT_AFTER_ALL in names and not names & _CONNECTING


def _next_cursor(page: Mapping[str, Any]) -> str:
    paging = page.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return ""
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) else ""
