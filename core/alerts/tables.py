"""The table of things a person should act on."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import UUIDv7


class AlertState(StrEnum):
    """The life of an alert."""

    OPEN = "open"
    ACKED = "acked"
    RESOLVED = "resolved"


class Alert(Table, tablename="alert"):
    """Raised once per transition; `business_id` is empty for the platform's own."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    kind = Varchar(length=64)
    subject = Varchar(length=200, default="")
    state = Varchar(length=8, choices=AlertState, default=AlertState.OPEN)
    acked_by = Varchar(length=100, null=True, default=None)
    arguments = JSONB(default="{}")
    created_at = Timestamptz(default=TimestamptzNow())
    resolved_at = Timestamptz(null=True, default=None)
