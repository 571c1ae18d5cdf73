"""Mounts another ASGI application under Litestar without losing slashes.

Litestar strips the prefix and puts a slash behind every path; Starlette's routes and the relative
addresses of Piccolo Admin's page both break by that. So the path is taken as it was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from litestar import asgi
from litestar.types import Receive, Scope, Send  # noqa: TC002 - Litestar reads the annotations

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from starlette.types import ASGIApp
    from starlette.types import Receive as PlainReceive
    from starlette.types import Scope as PlainScope
    from starlette.types import Send as PlainSend


def mount(prefix: str, application: ASGIApp) -> ASGIRouteHandler:
    """Return a Litestar handler that serves the application under a prefix."""

    @asgi(prefix, is_mount=True, copy_scope=True, opt={"exclude_from_csrf": True})
    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope["raw_path"].decode("latin-1").partition("?")[0]
        if raw == prefix:
            location = (prefix + "/").encode()
            await send(
                {
                    "type": "http.response.start",
                    "status": 307,
                    "headers": [(b"location", location)],
                }
            )
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        inner = cast("PlainScope", dict(scope))
        inner["path"], inner["root_path"] = unquote(raw), prefix
        inner.pop("app", None)
        await application(inner, cast("PlainReceive", receive), cast("PlainSend", send))

    return handler
