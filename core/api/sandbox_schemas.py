"""The sandbox as it goes over the wire."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from core.api.paging import DEFAULT_LIMIT, Cursor, Limit
from core.api.schemas import In, Out, Slug
from core.notify.events import Ref

_Word = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class AdvanceBody(In, frozen=True, kw_only=True):
    """How far to move the clock, as an ISO 8601 duration of a second to 400 days."""

    by: Annotated[timedelta, Meta(examples=["PT24H"])]
    business_id: Ref | None = None


class ClockOut(Out, frozen=True, kw_only=True):
    """The business's own clock; `ahead_seconds` is how far it is ahead of the real one."""

    business_id: str
    now: datetime
    ahead_seconds: int


class InboundBody(In, frozen=True, kw_only=True):
    """What a customer writes; `answers` is our notification that it answers."""

    sender: Annotated[str, Meta(min_length=3, max_length=200, examples=["+12025550100"])] = (
        msgspec.field(name="from")
    )
    text: Annotated[str, Meta(max_length=4096)] = ""
    button: _Word = ""
    answers: Annotated[str, Meta(max_length=64)] | None = None
    channel: Slug = "whatsapp"
    business_id: Ref | None = None


class InboundOut(Out, frozen=True, kw_only=True):
    """It is in the inbox, as any message from the provider."""

    provider_message_id: str


class MessagesQuery(In, frozen=True, kw_only=True):
    """Which messages."""

    business_id: Ref | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class BubbleOut(Out, frozen=True, kw_only=True):
    """One message as the recipient's telephone would show it."""

    channel: str
    direction: str
    address: str
    text: str
    template: str
    notification_id: str | None
    at: datetime


class BubblePage(Out, frozen=True, kw_only=True):
    """A page of messages."""

    data: list[BubbleOut]
    next_cursor: str | None
    has_more: bool


class ResetBody(In, frozen=True, kw_only=True):
    """Which business to empty; a key that is bound to one may leave it out."""

    business_id: Ref | None = None


class ResetOut(Out, frozen=True, kw_only=True):
    """How many rows were deleted; the business is connected anew."""

    business_id: str
    deleted: int


class NumberOut(Out, frozen=True, kw_only=True):
    """One of the numbers that the sandbox knows."""

    number: str
    meaning: str


class NumberList(Out, frozen=True, kw_only=True):
    """Every number; any other one behaves as the first."""

    data: list[NumberOut]
