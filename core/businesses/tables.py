"""The table of tenants."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, BigInt, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import UUIDv7


class Mode(StrEnum):
    """Live businesses write to people; test businesses only to the simulator (rulings A22)."""

    LIVE = "live"
    TEST = "test"


class Business(Table, tablename="business"):
    """A tenant: a salon, a clinic. `ref` is the id the booking system gave it.

    `clock_ahead_seconds` is how far the clock of a test business was moved; 0 for a live one.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    ref = Varchar(length=64, unique=True)  # type: ignore[assignment]  # Table.ref is not used
    name = Varchar(length=200)
    timezone = Varchar(length=64, default="UTC")
    country = Varchar(length=2, default="")
    default_locale = Varchar(length=16, default="en")
    mode = Varchar(length=4, choices=Mode, default=Mode.LIVE)
    killed_at = Timestamptz(null=True, default=None)
    settings = JSONB(default="{}")
    created_at = Timestamptz(default=TimestamptzNow())
    updated_at = Timestamptz(default=TimestamptzNow())
    clock_ahead_seconds = BigInt(default=0)
