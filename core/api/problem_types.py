"""The problem types of the interface: the catalogue that callers rely on.

The slugs are fixed: callers rely on them. Each has a heading in docs/problems.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


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
        "not-retryable",
        409,
        "Trying it again is not possible or cannot help",
        "It did not fail, or it failed for a reason that stays the same, or it comes too late.",
        "Read it: the explanation says why it failed and what to do.",
    ),
    Problem(
        "not-unconfirmed",
        409,
        "The notification's outcome is known",
        "Only a message whose answer was lost can be settled by hand.",
        "Read it to see what became of it.",
    ),
    Problem(
        "changed-meanwhile",
        412,
        "It was changed since you read it",
        "`If-Match` names a state that is no longer the present one; nothing was changed.",
        "Read it again, decide again, and send the new `ETag`.",
    ),
    Problem(
        "too-large",
        413,
        "The body is too large",
        "64 kB for a call, 3 MB for a provider's webhook, 32 MB for an import.",
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
