"""The tables of events and of what was decided about them."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, BigInt, Bytea, Integer, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow, UUIDv7


class Event(BusinessRow, Table, tablename="event"):
    """A fact the booking system told us, stored before anything is decided.

    `answer` is what the caller was told, so that the same event gets the same answer again.
    """

    source = Varchar(length=200)
    external_id = Varchar(length=200)
    type = Varchar(length=64)
    occurred_at = Timestamptz(default=TimestamptzNow())
    booking_ref = Varchar(length=64, null=True, default=None)
    booking_version = BigInt(null=True, default=None)
    customer_id = UUID(null=True, default=None)
    body_hash = Bytea()
    payload_sealed = Bytea()
    answer = JSONB(null=True, default=None)


class IdempotencyKey(Table, tablename="idempotency_key"):
    """An answer that was given once and is given again for seven days."""

    id = UUID(default=UUIDv7(), primary_key=True)
    scope = Varchar(length=200)
    key = Varchar(length=255)
    request_hash = Bytea()
    status = Integer(null=True, default=None)
    body = JSONB(null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())


class Outcome(StrEnum):
    """What was decided about one notice."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    SUPPRESSED = "suppressed"


class Decision(BusinessRow, Table, tablename="decision"):
    """May this notice be sent, and if not, why not: every yes and every no is kept."""

    event_id = UUID(null=False, default=None)
    rule_key = Varchar(length=64)
    notification_id = UUID(null=True, default=None)
    customer_id = UUID(null=True, default=None)
    channel = Varchar(length=32)
    template_name = Varchar(length=512)
    language_code = Varchar(length=16, default="")
    booking_ref = Varchar(length=64, null=True, default=None)
    outcome = Varchar(length=12, choices=Outcome)
    reason = Varchar(length=64, default="")
    checks = JSONB(default="[]")
