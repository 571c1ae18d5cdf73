"""The core's picture of connections and templates (rulings A1)."""

from __future__ import annotations

from piccolo.columns import Array, Boolean, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow
from core.channels.messages import ConnectionState


class ChannelConnection(BusinessRow, Table, tablename="channel_connection"):
    """A business's account with a provider."""

    channel = Varchar(length=32)
    account_ref = Varchar(length=64)
    state = Varchar(length=8, choices=ConnectionState, default=ConnectionState.ACTIVE)
    reason = Varchar(length=64, default="")
    is_default = Boolean(default=True)
    quality = Varchar(length=16, default="")
    version = Integer(default=1)
    checked_at = Timestamptz(default=TimestamptzNow())


class ChannelTemplate(BusinessRow, Table, tablename="channel_template"):
    """A template as the provider holds it now."""

    channel = Varchar(length=32)
    name = Varchar(length=512)
    language = Varchar(length=16)
    usable = Boolean(default=False)
    reason = Varchar(length=64, default="")
    category = Varchar(length=16, default="utility")
    parameter_format = Varchar(length=16, default="named")
    parameters = Array(base_column=Varchar(length=64))
    body = Text(default="")
    version = Integer(default=1)
    updated_at = Timestamptz(default=TimestamptzNow())
