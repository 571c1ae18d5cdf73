"""Events and notifications as they go over the wire."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit
from core.api.schemas import In, Out
from core.notify.events import Moment, Ref

Status = Literal["queued", "sent", "delivered", "read", "failed", "canceled", "suppressed"]


class TellQuery(In, frozen=True, kw_only=True):
    """Whether to do it, or only to see what would happen."""

    dry_run: bool = False


class EventsQuery(In, frozen=True, kw_only=True):
    """Which events, the newest first."""

    booking_ref: Ref
    business_id: Ref | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class EventDecision(Out, frozen=True, kw_only=True):
    """What was decided about one notice, and what became of it; `status` is its state now."""

    rule: str
    channel: str
    template: str
    outcome: str
    reason: str | None
    notification_id: str
    status: str


class EventOut(Out, frozen=True, kw_only=True):
    """An event that was taken in."""

    id: str
    business_id: str
    source: str
    external_id: str
    type: str
    time: datetime
    booking_ref: str | None
    booking_version: int | None
    received_at: datetime
    decisions: list[EventDecision]


class EventPage(Out, frozen=True, kw_only=True):
    """A page of events."""

    data: list[EventOut]
    next_cursor: str | None
    has_more: bool


class NotificationsQuery(In, frozen=True, kw_only=True):
    """Which notifications, the newest first."""

    business_id: Ref | None = None
    status: Status | None = None
    customer_id: Ref | None = None
    booking_ref: Ref | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class NotificationsSearch(In, frozen=True, kw_only=True):
    """Which notifications; those fit that fit everything that is named."""

    business_id: Ref | None = None
    phone: Annotated[str, Meta(min_length=3, max_length=40)] | None = None
    status: Status | None = None
    customer_id: Ref | None = None
    booking_ref: Ref | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class Recipient(Out, frozen=True, kw_only=True):
    """To whom; the address is masked."""

    customer_id: str
    phone: str | None = None
    address: str | None = None


class CheckOut(Out, frozen=True, kw_only=True):
    """One gate's answer: pass, fail, waiting or skipped."""

    check: str
    result: str
    reason: str | None
    evidence: str | None


class Explanation(Out, frozen=True, kw_only=True):
    """Why it was sent, or was not."""

    summary: str
    advice: str
    code: str | None
    provider_code: str | None
    retryable: bool
    checks: list[CheckOut]


class MomentOut(Out, frozen=True, kw_only=True):
    """One thing that happened."""

    at: datetime
    status: str
    note: str | None


class NotificationSummary(Out, frozen=True, kw_only=True):
    """A notification in a list."""

    id: str
    event_id: str | None
    status: str
    reason: str | None
    final: bool
    channel: str
    template: str
    language: str
    customer_id: str | None
    booking_ref: str | None
    created_at: datetime
    updated_at: datetime


class NotificationOut(Out, frozen=True, kw_only=True):
    """A notification with its whole story; `dec_` ids are notices that were never queued.

    `fallback_of` is the same notice on the channel before, `followed_by` on the one behind.
    """

    id: str
    event_id: str | None
    business_id: str
    status: str
    final: bool
    channel: str
    template: str
    language: str
    event_type: str
    to: Recipient
    provider_message_id: str | None
    attempts: int
    send_at: datetime | None
    next_attempt_at: datetime | None
    explanation: Explanation
    timeline: list[MomentOut]
    fallback_of: str | None
    followed_by: str | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime


class NotificationPage(Out, frozen=True, kw_only=True):
    """A page of notifications."""

    data: list[NotificationSummary]
    next_cursor: str | None
    has_more: bool


class AttemptOut(Out, frozen=True, kw_only=True):
    """One time it was handed to the provider."""

    number: int
    begun_at: datetime
    ended_at: datetime | None
    outcome: str
    summary: str
    provider_code: str | None


class AttemptList(Out, frozen=True, kw_only=True):
    """All tries, in their order."""

    data: list[AttemptOut]
