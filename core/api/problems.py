"""How an exception becomes one of the problem types of the interface (RFC 9457)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException

from core.access.rates import RateLimitedError
from core.api.problem_types import PROBLEMS
from core.errors import FieldFault, ProblemError, WebhookRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar import Request

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = {409: "1", 429: "60", 503: "1"}
"""Seconds after which a call may be repeated, by status."""

_logger = structlog.get_logger(__name__)


_BY_STATUS: Final = {
    400: "malformed",
    401: "unauthenticated",
    403: "scope-missing",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "validation",
    429: "rate-limited",
    503: "unavailable",
}
_UNAVAILABLE: Final = (
    OSError,  # the server cannot be reached; TimeoutError is one of them
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a word
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


class MediaTypeError(ProblemError):
    """The body is of a kind that is not read here."""

    status = 415
    code = "unsupported-media-type"


class UnavailableError(ProblemError):
    """We cannot do it now, and nothing was stored."""

    status = 503
    code = "unavailable"


def problem_type(public_url: str, slug: str) -> str:
    """Return a problem's `type`: an address that explains it."""
    return f"{public_url}/problems/{slug}"


def exception_handler(
    public_url: str,
) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    """Return the one place where an exception becomes an answer; it never shows a trace."""

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if isinstance(error, RateLimitedError):
            request.scope["state"]["rate"] = error.standing
        return _answer(problem_body(public_url, request, error), error)

    return answer


def problem_body(
    public_url: str, request: Request[Any, Any, Any], error: Exception
) -> dict[str, Any]:
    """Return what a caller is told of an exception; a fault of ours is logged on the way."""
    slug, detail, faults = _understood(error)
    path = request.scope["path"]
    if slug == "internal":
        _logger.error("request failed", path=path, exc_info=error)
    elif slug == "unavailable":
        _logger.warning("unavailable", error=type(error).__name__)
    problem = PROBLEMS[slug]
    about = problem_type(public_url, slug)
    body: dict[str, Any] = {
        "type": about,
        "title": problem.title,
        "status": error.status if isinstance(error, ProblemError) else problem.status,
        "detail": detail or problem.meaning,
        "code": slug,
        "instance": path,
        "trace_id": request.scope["state"].get("trace_id", ""),
        "docs": about,
    }
    if faults:
        body["errors"] = [
            {"pointer": one.pointer, "code": one.code, "message": one.message} for one in faults
        ]
    return body


def _answer(body: dict[str, Any], error: Exception) -> Response[bytes]:
    status = body["status"]
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, RateLimitedError):
        headers["Retry-After"] = str(error.retry_after)
    elif status in RETRY_AFTER and PROBLEMS[body["code"]].retry:
        headers["Retry-After"] = RETRY_AFTER[status]
    if status == 401:  # noqa: PLR2004 - a status is its own name
        headers["WWW-Authenticate"] = 'Bearer realm="patchbay"'
    if isinstance(error, HTTPException) and error.headers:
        given = {name.lower(): value for name, value in error.headers.items()}
        headers |= {"Allow": given["allow"]} if "allow" in given else {}
    content = msgspec.json.encode(body)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _understood(error: Exception) -> tuple[str, str, Sequence[FieldFault]]:
    """Return the slug, the sentence and the faulty fields of an exception."""
    if isinstance(error, ProblemError):
        slug = error.code if error.code in PROBLEMS else _slug_of(error.status)
        return slug, error.detail, error.errors
    if isinstance(error, WebhookRejectedError):
        return "webhook-rejected", "", ()
    if isinstance(error, ValidationException):
        return "validation", "A part of the address or of the query is not valid.", ()
    if isinstance(error, HTTPException):
        return _slug_of(error.status_code), "", ()
    # A value that does not fit its column is a fault of ours, though asyncpg files it here.
    if isinstance(error, _UNAVAILABLE) and not isinstance(error, ValueError):
        return "unavailable", "", ()
    return "internal", "", ()


def _slug_of(status: int) -> str:
    lowest_server_fault = 500
    fallback = "internal" if status >= lowest_server_fault else "malformed"
    return _BY_STATUS.get(status, fallback)
