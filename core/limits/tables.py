"""The tables of lanes: one business on one channel, its caps and its turn."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import (
    Array,
    BigInt,
    Date,
    DoublePrecision,
    Integer,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow


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


class LaneHealth(BusinessRow, Table, tablename="lane_health"):
    """How the last sends of a lane went: a ring of bits, newest lowest, 1 = failed."""

    channel = Varchar(length=32)
    outcomes = Integer(default=0)
    failures = BigInt(default=0)
    trips = Integer(default=0)
    probe_at = Timestamptz(null=True, default=None)
    updated_at = Timestamptz(default=TimestamptzNow())
