"""The problem types of the interface, and how an exception becomes one (RFC 9457).

The slugs are fixed: callers rely on them. Each has a heading in docs/problems.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException

from core.errors import FieldFault, ProblemError, WebhookRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar import Request

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = {409: "1", 429: "60", 503: "1"}
"""Seconds after which a call may be repeated, by status."""

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem type.

    Attributes:
        meaning: what is so.
        action: what to do about it.
        retry: whether repeating the same call can help.
    """

    slug: str
    status: int
    title: str
    meaning: str
    action: str
    retry: bool = False


_ALL: Final = (
    Problem(
        "validation",
        422,
        "The request is not valid",
        "The JSON is well-formed, and a field is missing, unknown or holds what it may not.",
        "Read `errors`: each entry points at the field.",
    ),
    Problem(
        "malformed",
        400,
        "The request cannot be read",
        "The body is no JSON, or a header or the query cannot be read.",
        "Correct the request; look at the encoding and at truncated bodies.",
    ),
    Problem(
        "unauthenticated",
        401,
        "There is no valid API key",
        "The key is missing, wrong or revoked.",
        "Send `Authorization: Bearer pb_...` with a living key.",
    ),
    Problem(
        "key-expired",
        401,
        "The API key has expired",
        "The key was valid until its expiry.",
        "Make a new key with `patchbay api-key create`.",
    ),
    Problem(
        "scope-missing",
        403,
        "The API key may not do this",
        "The key is valid and lacks the scope of this call.",
        "Make a key with the scope that `detail` names.",
    ),
    Problem(
        "not-found",
        404,
        "There is no such thing",
        "Nothing has this id, or it belongs to somebody else: the answer is the same.",
        "Check the id and which business the key is bound to.",
    ),
    Problem(
        "method-not-allowed",
        405,
        "This method is not offered here",
        "The address exists and does not answer this method.",
        "Look the call up in `/docs`.",
    ),
    Problem(
        "unsupported-media-type",
        415,
        "The body's media type is not read here",
        "Bodies are JSON.",
        "Send `Content-Type: application/json`.",
    ),
    Problem(
        "idempotency-missing",
        400,
        "The header Idempotency-Key is missing",
        "This call must be repeatable without doing its work twice.",
        "Send a fresh random key with each new call, and the same key when you repeat it.",
    ),
    Problem(
        "idempotency-in-progress",
        409,
        "The same call is being worked on",
        "Another request with this key, or this event, has not ended yet.",
        "Repeat the call after a second.",
        retry=True,
    ),
    Problem(
        "idempotency-mismatch",
        422,
        "The same key came with another body",
        "A key, or an event's source and id, stands for one body only, for seven days.",
        "Use a new key or id for a new call.",
    ),
    Problem(
        "business-not-connected",
        422,
        "The business has no working connection",
        "The business has no account with the provider, or its connection is broken.",
        "Connect the business's account.",
    ),
    Problem(
        "channel-disabled",
        422,
        "The channel is not available",
        "The channel is unknown here, switched off, or its plugin is not loaded.",
        "Look at `GET /v1/businesses/{ref}/channels`.",
    ),
    Problem(
        "business-suspended",
        409,
        "Sending stands still for this business",
        "Too many failures, or a person, stopped the business's messages.",
        "Look at the alerts, mend the cause, and let it resume.",
    ),
    Problem(
        "template-unknown",
        422,
        "There is no such template",
        "The provider holds no template of this name in a fitting language.",
        "Create the template and have it approved.",
    ),
    Problem(
        "template-not-approved",
        422,
        "The template is not approved",
        "Only templates that the provider has approved are sent.",
        "Wait for the approval, or edit the template.",
    ),
    Problem(
        "template-paused",
        422,
        "The template is paused",
        "The provider paused the template, mostly because recipients complained.",
        "Wait until the provider lifts the pause, or use another template.",
    ),
    Problem(
        "variable-missing",
        422,
        "A value of the template is missing",
        "The template has a placeholder that the call does not fill.",
        "Send the missing value.",
    ),
    Problem(
        "consent-missing",
        422,
        "No valid consent",
        "The customer never agreed to be written to on this channel.",
        "Record the consent with `POST /v1/consents` once the customer gave it.",
    ),
    Problem(
        "consent-revoked",
        422,
        "The consent was revoked",
        "The customer withdrew the consent for this channel.",
        "Nothing may be sent; only the customer can agree again.",
    ),
    Problem(
        "marketing-consent-missing",
        422,
        "No consent to advertising",
        "The template is advertising, and the customer did not agree to advertising.",
        "Ask for this consent, or use a template that is no advertising.",
    ),
    Problem(
        "limit-minute",
        429,
        "The business's limit of this minute is used up",
        "More messages than the business may send in a minute.",
        "Repeat after `Retry-After`.",
        retry=True,
    ),
    Problem(
        "limit-day",
        429,
        "The business's limit of this day is used up",
        "More messages than the business may send in a day.",
        "Repeat tomorrow in the business's time zone, or raise the limit.",
        retry=True,
    ),
    Problem(
        "quality-stop",
        409,
        "The provider's quality rating stopped the channel",
        "The provider rates the business's messages so low that sending on would harm it.",
        "Send fewer and better messages; it resumes when the rating recovers.",
    ),
    Problem(
        "conflict",
        409,
        "Something is in the way",
        "A thing of this name is there already, or it was changed meanwhile.",
        "Read it again before you repeat the call.",
    ),
    Problem(
        "already-final",
        409,
        "The notification has come to its end",
        "It was sent, failed or canceled already.",
        "Nothing; read it to see what became of it.",
    ),
    Problem(
        "too-large",
        413,
        "The body is too large",
        "64 kB for a call, 3 MB for a provider's webhook.",
        "Send less at once.",
    ),
    Problem(
        "rate-limited",
        429,
        "Too many calls",
        "The key makes more calls than it may.",
        "Repeat after `Retry-After`.",
        retry=True,
    ),
    Problem(
        "webhook-rejected",
        401,
        "The signature is wrong",
        "The call did not come from the provider, or the secret is not configured here.",
        "Compare the application's secret at the provider with the one configured here.",
    ),
    Problem(
        "internal",
        500,
        "Something broke on our side",
        "A fault of this host; it was logged under the `trace_id` of the answer.",
        "Repeat the call with the same key or id; tell the operators the `trace_id`.",
        retry=True,
    ),
    Problem(
        "unavailable",
        503,
        "Not available right now",
        "The database cannot be reached or is too busy; nothing was stored.",
        "Repeat after `Retry-After`, with the same key or id.",
        retry=True,
    ),
)

PROBLEMS: Final = MappingProxyType({problem.slug: problem for problem in _ALL})

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
        slug, detail, faults = _understood(error)
        state = request.scope["state"]
        if slug == "internal":
            _logger.error("request failed", path=request.scope["path"], exc_info=error)
        elif slug == "unavailable":
            _logger.warning("unavailable", error=type(error).__name__)
        return _answer(public_url, slug, detail, faults, error, request.scope["path"], state)

    return answer


def _answer(
    public_url: str,
    slug: str,
    detail: str,
    faults: Sequence[FieldFault],
    error: Exception,
    path: str,
    state: dict[str, Any],
) -> Response[bytes]:
    problem = PROBLEMS[slug]
    status = error.status if isinstance(error, ProblemError) else problem.status
    about = problem_type(public_url, slug)
    body: dict[str, Any] = {
        "type": about,
        "title": problem.title,
        "status": status,
        "detail": detail or problem.meaning,
        "code": slug,
        "instance": path,
        "trace_id": state.get("trace_id", ""),
        "docs": about,
    }
    if faults:
        body["errors"] = [
            {"pointer": one.pointer, "code": one.code, "message": one.message} for one in faults
        ]
    headers = {"Cache-Control": "no-store"}
    if status in RETRY_AFTER and problem.retry:
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
