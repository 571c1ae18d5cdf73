"""The page at `/` of a host without its admin: says what runs here, and where to go."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final

from litestar import MediaType, Response, get

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
    "dt{margin-top:1rem}dt a{font-weight:600}dd{margin:0}:root{color-scheme:light dark}"
)
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'sha256-"
        + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_PLACES: Final = (
    ("/docs", "Interface", "Every call of the REST interface, with examples to paste."),
    ("/health/ready", "Health", "Whether database, queue and channels are well."),
)


def start_page() -> str:
    """Write the page."""
    listed = "".join(
        f"<dt><a href='{path}'>{escape(title)}</a></dt><dd>{escape(words)}</dd>"
        for path, title, words in _PLACES
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Patchbay</title>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<style>{_STYLE}</style></head><body><h1>Patchbay</h1>"
        f"<p>This host sends your customers' notifications. Its admin is "
        f"out of service; the log of the process says why.</p><dl>{listed}</dl></body></html>"
    )


def start_handler() -> HTTPRouteHandler:
    """Return the handler of `/`."""
    content = start_page()

    @get("/", include_in_schema=False)
    async def start() -> Response[str]:
        """Show where to go."""
        return Response(content, media_type=MediaType.HTML, headers=_HEADERS)

    return start
