"""The tables of lanes: one business on one channel, its caps and its turn."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import (
    UUID,
    Array,
    BigInt,
    Bytea,
    Date,
    DoublePrecision,
    Integer,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow, UUIDv7


class LaneState(StrEnum):
    """Why a lane runs or stands still."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DISCONNECTED = "disconnected"
    SUSPENDED = "suspended"
    KILLED = "killed"


class Lane(BusinessRow, Table, tablename="lane"):
    """Caps and turn; only claim, wake and changes of state write it (rulings B1, B2)."""

    channel = Varchar(length=32)
    state = Varchar(length=12, choices=LaneState, default=LaneState.ACTIVE)
    reason = Varchar(length=64, default="")
    next_at = Timestamptz(default=TimestamptzNow())
    cap_minute = Integer(default=60)
    burst = Integer(default=6)
    tokens = DoublePrecision(default=6.0)
    refilled_at = Timestamptz(default=TimestamptzNow())
    recent = Array(base_column=Timestamptz())
    cap_day = Integer(default=1000)
    day = Date(null=True, default=None)
    day_count = Integer(default=0)
    tz = Varchar(length=64, default="UTC")
    rest_until = Timestamptz(null=True, default=None)


class LaneHealth(BusinessRow, Table, tablename="lane_health"):
    """How the last sends of a lane went: `ring` holds one mark each, newest last, 1 = failed."""

    channel = Varchar(length=32)
    outcomes = Integer(default=0)
    failures = BigInt(default=0)
    trips = Integer(default=0)
    probe_at = Timestamptz(null=True, default=None)
    updated_at = Timestamptz(default=TimestamptzNow())
    ring = Text(default="")
    suspended_at = Timestamptz(null=True, default=None)
    quality = Varchar(length=16, default="")
    quality_stopped_at = Timestamptz(null=True, default=None)


class RecipientPace(BusinessRow, Table, tablename="recipient_pace"):
    """How often one recipient was written to today, and how slowly it must go."""

    channel = Varchar(length=32)
    address_hash = Bytea()
    next_at = Timestamptz(null=True, default=None)
    paced_until = Timestamptz(null=True, default=None)
    spacing_seconds = DoublePrecision(default=0.0)
    day = Date(null=True, default=None)
    count = Integer(default=0)  # type: ignore[assignment]  # Table.count is not used


class SendingPause(Table, tablename="sending_pause"):
    """The kill switch: one row stops a business, a channel, both together, or everything."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    channel = Varchar(length=32, null=True, default=None)
    reason = Varchar(length=200, default="")
    actor = Varchar(length=100, default="")
    created_at = Timestamptz(default=TimestamptzNow())
