"""The tables of the outbox: what is to be sent, each attempt, and the provider's news."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import (
    JSONB,
    UUID,
    BigInt,
    Bytea,
    Integer,
    Interval,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow, UUIDv7


class OutboxStatus(StrEnum):
    """The specification's five words, and `canceled` (rulings A7)."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    CANCELED = "canceled"


class Phase(StrEnum):
    """The fine state of a row on its way."""

    WAITING = "waiting"
    LEASED = "leased"
    IN_FLIGHT = "in_flight"
    UNCONFIRMED = "unconfirmed"
    FINAL = "final"


class NotificationOutbox(BusinessRow, Table, tablename="notification_outbox"):
    """One notification (specification 3.4); `next_retry_at` is the due time, the first too.

    `fallbacks` names the channels that may still take over; `fallback_at` is when it should have
    arrived; `followed_at` is when the next channel was decided about.
    """

    customer_id = UUID(null=False, default=None)
    channel = Varchar(length=32)
    event_type = Varchar(length=64)
    template_name = Varchar(length=512)
    payload_json = JSONB(default="{}")
    status = Varchar(length=12, choices=OutboxStatus, default=OutboxStatus.QUEUED)
    provider_message_id = Varchar(length=255, null=True, default=None)
    error_code = Varchar(length=64, null=True, default=None)
    retry_count = Integer(default=0)
    next_retry_at = Timestamptz(null=True, default=TimestamptzNow())
    updated_at = Timestamptz(default=TimestamptzNow())
    phase = Varchar(length=12, choices=Phase, default=Phase.WAITING)
    reason = Varchar(length=64, default="")
    kind = Varchar(length=12, default="template")
    purpose = Varchar(length=16, default="transactional")
    language_code = Varchar(length=16, default="")
    template_version = Integer(default=0)
    event_id = UUID(null=True, default=None)
    rule_key = Varchar(length=64, default="")
    booking_ref = Varchar(length=64, null=True, default=None)
    generation = Integer(default=1)
    address_id = UUID(null=True, default=None)
    connection_id = UUID(null=True, default=None)
    fallback_of = UUID(null=True, default=None)
    in_reply_to = UUID(null=True, default=None)
    useful_until = Timestamptz(null=True, default=None)
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    first_claimed_at = Timestamptz(null=True, default=None)
    claimed_at = Timestamptz(null=True, default=None)
    begun_at = Timestamptz(null=True, default=None)
    provider_message_hash = Bytea(null=True, default=None)
    sent_at = Timestamptz(null=True, default=None)
    delivered_at = Timestamptz(null=True, default=None)
    read_at = Timestamptz(null=True, default=None)
    failed_at = Timestamptz(null=True, default=None)
    sequence = Integer(default=0)
    trace_id = Varchar(length=64, default="")
    variables_sealed = Bytea(null=True, default=None)
    fallbacks = JSONB(default="[]")
    fallback_after = Interval(null=True, default=None)
    fallback_at = Timestamptz(null=True, default=None)
    followed_at = Timestamptz(null=True, default=None)


class SendAttempt(BusinessRow, Table, tablename="send_attempt"):
    """One time a message was handed to the provider, or was about to be.

    The two event ids are the lines of the ledger of consent that `begin` relied on.
    """

    notification_id = UUID(null=False, default=None)
    number = Integer()
    lease_token = UUID(null=False, default=None)
    begun_at = Timestamptz(default=TimestamptzNow())
    ended_at = Timestamptz(null=True, default=None)
    outcome = Varchar(length=16)
    error_code = Varchar(length=64, null=True, default=None)
    http_status = Integer(null=True, default=None)
    provider_message_hash = Bytea(null=True, default=None)
    consent_event_id = UUID(null=True, default=None)
    marketing_event_id = UUID(null=True, default=None)


class StatusUpdateRow(BusinessRow, Table, tablename="status_update"):
    """One piece of the provider's news about a message."""

    notification_id = UUID(null=False, default=None)
    status = Varchar(length=12)
    occurred_at = Timestamptz(default=TimestamptzNow())
    error_code = Varchar(length=64, null=True, default=None)


class ProviderInbox(Table, tablename="provider_inbox"):
    """A provider's call as it came, sealed; it belongs to no business.

    Of a test business it is the sandbox's own news instead, not to be looked at before `due_at`.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    channel = Varchar(length=32)
    headers = JSONB(default="{}")
    body_sealed = Bytea()
    state = Varchar(length=8, default="waiting")
    attempts = Integer(default=0)
    error = Text(null=True, default=None)
    received_at = Timestamptz(default=TimestamptzNow())
    done_at = Timestamptz(null=True, default=None)
    due_at = Timestamptz(null=True, default=None)
    test_business_id = UUID(null=True, default=None)


class InboxDedupe(Table, tablename="inbox_dedupe"):
    """News that was taken in already."""

    id = UUID(default=UUIDv7(), primary_key=True)
    channel = Varchar(length=32)
    dedupe = Bytea()
    seen_at = Timestamptz(default=TimestamptzNow())


class ParkedStatus(Table, tablename="parked_status"):
    """A status that came before, or without, a message of ours; tried again until `until`."""

    id = UUID(default=UUIDv7(), primary_key=True)
    channel = Varchar(length=32)
    account_ref = Varchar(length=64)
    callback_id = Varchar(length=64, default="")
    provider_message_hash = Bytea()
    status = Varchar(length=12)
    occurred_at = Timestamptz()
    error_code = Varchar(length=64, default="")
    until = Timestamptz()


class InboxCounter(Table, tablename="inbox_counter"):
    """How often news of each kind came, known or not."""

    id = UUID(default=UUIDv7(), primary_key=True)
    channel = Varchar(length=32)
    kind = Varchar(length=64)
    seen = BigInt(default=0)
    last_at = Timestamptz(default=TimestamptzNow())
