"""The channel's one table."""

from __future__ import annotations

from typing import Final

from piccolo.columns import UUID, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow

SLUG: Final = __name__.split(".")[-2]
"""The folder's name is the channel's name: a copy under another name is another channel."""


class Entry(BusinessRow, Table, tablename=f"{SLUG}_entry"):
    """One message that was handed over: which and when, not to whom nor what it said."""

    notification_id = UUID(null=False, default=None)
    template = Varchar(length=512)
    language = Varchar(length=16)
    handed_over_at = Timestamptz(default=TimestamptzNow())
