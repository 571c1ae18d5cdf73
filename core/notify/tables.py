"""The tables of events, rules, plans and of what was decided."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import (
    JSONB,
    UUID,
    BigInt,
    Boolean,
    Bytea,
    Integer,
    Interval,
    Time,
    Timestamptz,
    Varchar,
)
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
    fallback_of = UUID(null=True, default=None)


class QuietMode(StrEnum):
    """What happens to a notice whose moment lies in quiet hours."""

    DEFER = "defer"
    SKIP = "skip"


class NotificationRule(BusinessRow, Table, tablename="notification_rule"):
    """A business's own rule; it replaces the built-in one with the same key, or adds one.

    `variables` holds what is written where an event brings no value.
    """

    key = Varchar(length=64)
    event_type = Varchar(length=64)
    template_name = Varchar(length=512)
    channels = JSONB(default="[]")
    lead = Interval(null=True, default=None)
    quiet_from = Time(null=True, default=None)
    quiet_to = Time(null=True, default=None)
    quiet_mode = Varchar(length=8, choices=QuietMode, default=QuietMode.DEFER)
    minimum_notice = Interval(null=True, default=None)
    languages = JSONB(default="[]")
    variables = JSONB(default="{}")
    enabled = Boolean(default=True)
    version = Integer(default=1)
    updated_at = Timestamptz(default=TimestamptzNow())
    fallback_after = Interval(null=True, default=None)


class PlanState(StrEnum):
    """What is known of a booking."""

    ACTIVE = "active"
    CANCELED = "canceled"
    COMPLETED = "completed"
    NO_SHOW = "no_show"


class BookingPlan(BusinessRow, Table, tablename="booking_plan"):
    """The pending notices of one booking: each change of the booking makes a new generation.

    `told_at` is the time of the event that made the newest generation.
    """

    booking_ref = Varchar(length=64)
    customer_id = UUID(null=True, default=None)
    generation = Integer(default=0)
    booking_version = BigInt(null=True, default=None)
    starts_at = Timestamptz(null=True, default=None)
    told_at = Timestamptz(null=True, default=None)
    state = Varchar(length=12, choices=PlanState, default=PlanState.ACTIVE)
    updated_at = Timestamptz(default=TimestamptzNow())
