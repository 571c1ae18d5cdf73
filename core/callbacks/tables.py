"""The tables of callbacks: who is told, and what is still to be told."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Array, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import UUIDv7


class EndpointState(StrEnum):
    """Whether an address is told."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """The life of one callback."""

    WAITING = "waiting"
    LEASED = "leased"
    DELIVERED = "delivered"
    FAILED = "failed"


class CallbackEndpoint(Table, tablename="callback_endpoint"):
    """An address of the booking system; without a business it hears of every one of its mode.

    `failing_since` is the first failure of an unbroken row of failures, `failed_at` the last.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    mode = Varchar(length=4, default="live")
    url = Text()
    events = Array(base_column=Varchar(length=64))
    description = Varchar(length=200, default="")
    secret_sealed = Bytea()
    previous_sealed = Bytea(null=True, default=None)
    previous_until = Timestamptz(null=True, default=None)
    state = Varchar(length=8, choices=EndpointState, default=EndpointState.ACTIVE)
    reason = Varchar(length=32, default="")
    failing_since = Timestamptz(null=True, default=None)
    failed_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
    updated_at = Timestamptz(default=TimestamptzNow())


class CallbackDelivery(Table, tablename="callback_delivery"):
    """One callback to one address: written with the change it tells, delivered afterwards.

    `body` holds the facts of that moment; the bytes on the wire are made from it, the same for
    every attempt. `tries` is what the log of deliveries shows.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    endpoint_id = UUID(null=False, default=None)
    type = Varchar(length=64)
    subject = Varchar(length=16)
    subject_id = UUID(null=True, default=None)
    sequence = Integer(default=0)
    body = JSONB(default="{}")
    occurred_at = Timestamptz(default=TimestamptzNow())
    state = Varchar(length=12, choices=DeliveryState, default=DeliveryState.WAITING)
    attempt = Integer(default=0)
    next_at = Timestamptz(null=True, default=TimestamptzNow())
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    last_status = Integer(null=True, default=None)
    last_error = Varchar(length=32, default="")
    tries = JSONB(default="[]")
    created_at = Timestamptz(default=TimestamptzNow())
    ended_at = Timestamptz(null=True, default=None)
