"""Limits and pauses as they go over the wire."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit
from core.api.schemas import In, Out, Slug
from core.notify.events import Ref

Why = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class LimitsShown(Out, frozen=True, kw_only=True):
    """What a business may send, and what stops it."""

    per_minute: int
    per_day: int
    per_recipient_day: int
    suspend_percent: int
    suspend_window: int
    suspend_minimum: int
    quality_stop: str
    retry_base_seconds: int
    retry_factor: int
    retry_jitter_percent: int
    retries: int
    grace_seconds: int
    unconfirmed: str


class LanesQuery(In, frozen=True, kw_only=True):
    """Whose limits: of one business, or of all that the key may see."""

    business_id: Ref | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class LaneOut(Out, frozen=True, kw_only=True):
    """One channel of one business: what it may send, what it has sent, what stops it."""

    business_id: str
    channel: str
    state: str
    reason: str | None
    per_minute: int
    per_day: int
    used_today: int


class LanePage(Out, frozen=True, kw_only=True):
    """A page of channels."""

    data: list[LaneOut]
    next_cursor: str | None
    has_more: bool


class PauseBody(In, frozen=True, kw_only=True):
    """Why; for the audit trail and whoever wonders. No personal data, please."""

    reason: Why = ""


class EverythingBody(In, frozen=True, kw_only=True):
    """Which channel of all businesses, or everything; and why."""

    channel: Slug | None = None
    reason: Why = ""


class PauseShown(Out, frozen=True, kw_only=True):
    """One pause; an id or a channel that is null means all of them."""

    business_id: str | None
    channel: str | None
    reason: str
    since: datetime


class SendingState(Out, frozen=True, kw_only=True):
    """How sending stands: `changed` says whether the call did anything."""

    changed: bool
    pauses: list[PauseShown]


class ReasonBody(In, frozen=True, kw_only=True):
    """Why somebody acted on a message."""

    reason: Why = ""


class RetryBody(In, frozen=True, kw_only=True):
    """Why somebody wants another try; `force` also tries what is final by the rules."""

    reason: Why = ""
    force: bool = False


class SettleBody(In, frozen=True, kw_only=True):
    """What a person knows of a message whose answer was lost."""

    outcome: Literal["sent", "failed", "resend"]
    reason: Why = ""
