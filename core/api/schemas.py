"""What goes over the wire: strict in, generous out. Unknown fields are refused, to catch typos."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit

Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)", examples=["whatsapp"])]
Locale = Annotated[str, Meta(max_length=16, examples=["it"])]


class In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What callers send."""


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """What callers get; they ignore fields that they do not know."""


class BusinessBody(In, frozen=True, kw_only=True):
    """A business, as the booking system knows it."""

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
    timezone: Annotated[str, Meta(max_length=64, examples=["Europe/Rome"])]
    country: Annotated[str, Meta(min_length=2, max_length=2, examples=["IT"])]
    default_locale: Locale = "en"


class BusinessOut(Out, frozen=True, kw_only=True):
    """A business; `id` is the booking system's own."""

    id: str
    name: str
    timezone: str
    country: str
    default_locale: str
    mode: str
    created_at: datetime
    updated_at: datetime


class BusinessPage(Out, frozen=True, kw_only=True):
    """A page of businesses."""

    data: list[BusinessOut]
    next_cursor: str | None
    has_more: bool


class PageQuery(In, frozen=True, kw_only=True):
    """Which page."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class LimitsOut(Out, frozen=True, kw_only=True):
    """The caps of a channel, and how much of the day is used."""

    per_minute: int
    per_day: int
    used_today: int


class ChannelOut(Out, frozen=True, kw_only=True):
    """One channel of a business; `status` is active, disabled, error or not-connected."""

    channel: str
    title: str
    status: str
    reason: str
    quality: str | None
    limits: LimitsOut | None
    suspended: str | None


class ChannelList(Out, frozen=True, kw_only=True):
    """The channels of a business."""

    data: list[ChannelOut]


class ProblemType(Out, frozen=True, kw_only=True):
    """One entry of the catalogue of problems."""

    type: str
    code: str
    status: int
    title: str
    meaning: str
    action: str
    retry: bool


class ProblemTypeList(Out, frozen=True, kw_only=True):
    """The catalogue of problems."""

    data: list[ProblemType]


class EventType(Out, frozen=True, kw_only=True):
    """One type of event, and the JSON Schema of its body."""

    type: str
    meaning: str
    schema: dict[str, Any]


class EventTypeList(Out, frozen=True, kw_only=True):
    """The types that are understood."""

    data: list[EventType]


class ProblemFault(Out, frozen=True, kw_only=True):
    """One faulty field."""

    pointer: str
    code: str
    message: str


class ProblemBody(Out, frozen=True, kw_only=True):
    """A problem (RFC 9457); `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    trace_id: str
    docs: str
    errors: list[ProblemFault] = []


class HealthPart(Out, frozen=True, kw_only=True):
    """One part of readiness."""

    status: str
    detail: str = ""


class PluginHealth(Out, frozen=True, kw_only=True):
    """One plugin; a failed one says why, and does not stop the others."""

    name: str
    status: str
    version: str
    reason: str = ""


class Health(Out, frozen=True, kw_only=True):
    """How the process is; `status` is ok, degraded or unavailable."""

    status: str
    parts: dict[str, HealthPart] = {}
    plugins: list[PluginHealth] = []
