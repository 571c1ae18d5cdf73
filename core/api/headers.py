"""Adds the headers that every answer carries, unless a handler has set its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.enums import ScopeType

from core.crashpoint import crashpoint

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = (
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_OF_JSON: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_ONLY_HTTPS: Final = ((b"strict-transport-security", b"max-age=31536000"),)


def add_headers(app: Litestar, *, https: bool) -> None:
    """Put the layer around an application.

    Args:
        app: the application, finished.
        https: whether people reach it by https.
    """
    app.asgi_handler = _Headers(app.asgi_handler, _ALWAYS + (_ONLY_HTTPS if https else ()))


class _Headers:
    def __init__(self, app: ASGIApp, always: tuple[tuple[bytes, bytes], ...]) -> None:
        self._app = app
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.lower(), value) for name, value in message["headers"]]
                there = {name for name, _ in given}
                kind = next((value for name, value in given if name == b"content-type"), b"")
                added = self._always + (_OF_JSON if b"json" in kind else ())
                more = [one for one in added if one[0] not in there]
                message["headers"] = [*message["headers"], *more]
            elif scope["method"] == "POST":
                crashpoint("mid_answer")
            await send(message)

        await self._app(scope, receive, send_with_headers)
