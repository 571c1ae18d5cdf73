"""What can happen to a connection: no answer at all, or a reset."""

import asyncio
from typing import Any, Final, cast

from litestar import Request, Response

ABORT: Final = "simulator.abort"  # put into the scope by the server's protocol
_LONGEST_STALL: Final = 300.0
_HTML: Final = (
    b"<html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>502 Bad Gateway</h1></body></html>"
)


async def stall(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Never answer: wait until the caller hangs up."""
    try:
        async with asyncio.timeout(_LONGEST_STALL):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
    return answer_html(504)


def reset(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Break the connection off; without a real connection, answer as a proxy would."""
    extensions = cast("dict[str, Any]", request.scope.get("extensions") or {})
    if ABORT in extensions:
        extensions[ABORT]()
    return answer_html(502)


def answer_html(status: int) -> Response[bytes]:
    """Answer like a proxy that does not speak JSON."""
    return Response(_HTML, status_code=status, media_type="text/html")
