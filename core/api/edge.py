"""The outermost layer: every call has an id and a trace, also one that finds no handler."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from litestar.enums import ScopeType

from core.logs import log_context

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from core.access.rates import Standing

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def wrap(app: Litestar) -> Litestar:
    """Put the layer around an application, where Litestar's own middleware does not reach."""
    app.asgi_handler = _Edge(app.asgi_handler)
    return app


class _Edge:
    """Takes or makes `X-Request-Id` and `traceparent`, binds them to the log, gives them back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on with its ids bound."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id, trace_id = _ids(dict(scope["headers"]))
        state: dict[str, Any] = scope["state"]
        state["request_id"], state["trace_id"] = request_id, trace_id
        parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
        added = (
            (b"x-request-id", request_id.encode()),
            (b"traceparent", parent.encode()),
            *_HEADERS,
        )

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                told = (*added, *_rate_headers(state.get("rate")))
                more = [(name, value) for name, value in told if name not in there]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        with log_context(request_id=request_id, trace_id=trace_id):
            await self._app(scope, receive, send_with_ids)


def _rate_headers(standing: Standing | None) -> tuple[tuple[bytes, bytes], ...]:
    """Write what a key may still do, as structured fields (the IETF's RateLimit headers)."""
    if standing is None:
        return ()
    policy = f'"key";q={standing.rate.burst};w={standing.rate.window}'
    left = f'"key";r={standing.remaining};t={standing.resets_in}'
    return (b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())


def _ids(headers: dict[bytes, bytes]) -> tuple[str, str]:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    trace = _TRACE.fullmatch(headers.get(b"traceparent", b"").decode("latin-1"))
    trace_id = trace[1] if trace and set(trace[1]) != {"0"} else secrets.token_hex(16)
    return request_id, trace_id
