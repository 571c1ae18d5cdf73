"""What goes over the wire about alerts."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Annotated, Any, Literal

from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit
from core.api.schemas import In, Out
from core.notify.events import Moment  # noqa: TC001 - as above


class AlertsQuery(In, frozen=True, kw_only=True):
    """Which alerts, and which page; a platform's key may leave the business out."""

    business_id: Annotated[str, Meta(max_length=64)] | None = None
    state: Literal["open", "acked", "resolved"] | None = None
    kind: Annotated[str, Meta(max_length=64, examples=["channel-suspended"])] | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class AlertOut(Out, frozen=True, kw_only=True):
    """An alert; `business_id` is null for the platform's own.

    `about` tells several of one kind apart, such as a channel or an account. `resolved_by` is null
    where it ended by itself.
    """

    id: str
    business_id: str | None
    kind: str
    severity: str
    about: str
    state: str
    summary: str
    action: str
    arguments: dict[str, Any]
    created_at: datetime
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    resolved_by: str | None
    resolved_at: datetime | None


class AlertPage(Out, frozen=True, kw_only=True):
    """A page of alerts, the newest first."""

    data: list[AlertOut]
    next_cursor: str | None
    has_more: bool
