"""What goes over the wire about webhook endpoints and their deliveries."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Annotated, Literal

from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit
from core.api.schemas import In, Out

Url = Annotated[str, Meta(min_length=1, max_length=2_000)]
Events = Annotated[
    list[Annotated[str, Meta(max_length=64)]],
    Meta(
        min_length=1,
        max_length=20,
        description="Types, `area.*` for a whole area, or `*` for everything.",
        examples=[["notification.*", "consent.revoked"]],
    ),
]
Description = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
State = Literal["active", "disabled"]


class EndpointBody(In, frozen=True, kw_only=True):
    """An address to be told at; a platform's key without `business_id` hears of every business."""

    url: Url
    events: Events
    description: Description = ""
    business_id: Annotated[str, Meta(max_length=64)] | None = None


class EndpointChange(In, frozen=True, kw_only=True):
    """What to change; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    state: State | None = None


class EndpointQuery(In, frozen=True, kw_only=True):
    """Whose endpoints, and which page."""

    business_id: Annotated[str, Meta(max_length=64)] | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class EndpointOut(Out, frozen=True, kw_only=True):
    """An endpoint; `reason` says why it is disabled: asked, gone or failing."""

    id: str
    business_id: str | None
    mode: str
    url: str
    events: list[str]
    description: str
    state: str
    reason: str | None
    failing_since: datetime | None
    old_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


class NewEndpointOut(EndpointOut, frozen=True, kw_only=True):
    """An endpoint just made; the secret is shown this once."""

    secret: str


class EndpointPage(Out, frozen=True, kw_only=True):
    """A page of endpoints."""

    data: list[EndpointOut]
    next_cursor: str | None
    has_more: bool


class SecretOut(Out, frozen=True, kw_only=True):
    """The new secret, shown this once; both sign until `old_secret_until`."""

    id: str
    secret: str
    old_secret_until: datetime


class TestedOut(Out, frozen=True, kw_only=True):
    """A delivery of the type `endpoint.test` is on its way."""

    delivery_id: str


class DeliveriesQuery(In, frozen=True, kw_only=True):
    """Which deliveries, and which page."""

    state: Literal["waiting", "leased", "delivered", "failed"] | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class TryOut(Out, frozen=True, kw_only=True):
    """One attempt; `error` is empty when it was accepted."""

    attempt: int
    at: datetime
    status: int | None
    error: str
    milliseconds: int


class DeliveryOut(Out, frozen=True, kw_only=True):
    """One callback; `id` is its `webhook-id`, the same in every attempt."""

    id: str
    type: str
    subject: str | None
    sequence: int
    state: str
    attempt: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    occurred_at: datetime
    created_at: datetime
    ended_at: datetime | None
    attempts: list[TryOut]


class DeliveryPage(Out, frozen=True, kw_only=True):
    """A page of deliveries, the newest first."""

    data: list[DeliveryOut]
    next_cursor: str | None
    has_more: bool


class ReplayBody(In, frozen=True, kw_only=True):
    """What to deliver anew, by the time it happened; `until` is now when left out."""

    since: datetime
    until: datetime | None = None
    only_failed: bool = True


class ReplayedOut(Out, frozen=True, kw_only=True):
    """How many were put back."""

    replayed: int


class CallbackFacts(Out, frozen=True, kw_only=True, omit_defaults=True):
    """What is told; which fields there are depends on the type.

    `business_id` is null where an alert concerns the platform itself.
    """

    business_id: str | None
    notification_id: str | None = None
    consent_id: str | None = None
    endpoint_id: str | None = None
    customer_id: str | None = None
    booking_ref: str | None = None
    channel: str | None = None
    template: str | None = None
    event_type: str | None = None
    status: str | None = None
    code: str | None = None
    provider_code: str | None = None
    fallback_of: str | None = None
    retryable: bool | None = None
    sequence: int | None = None
    purpose: str | None = None
    state: str | None = None
    message_type: str | None = None
    button: str | None = None
    alert_id: str | None = None
    kind: str | None = None
    severity: str | None = None
    about: str | None = None
    account: str | None = None
    quality: str | None = None
    language: str | None = None
    expires_at: str | None = None


class CallbackBody(Out, frozen=True, kw_only=True):
    """The body of a callback: a CloudEvent with the extension attribute `timestamp`."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    timestamp: datetime
    subject: str | None = None
    datacontenttype: str
    data: CallbackFacts
