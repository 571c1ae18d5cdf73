"""Table pieces that make every channel's tables alike."""

from __future__ import annotations

from piccolo.columns import UUID, Bytea, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import UUIDv7


class MessageLog(Table):
    """The columns of every channel's message log (specification 3.5); the host writes it.

    `content_snapshot` is sealed: AES-256-GCM, bound to its row.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=False, default=None)
    customer_id = UUID(null=True, default=None)
    direction = Varchar(length=8)
    message_type = Varchar(length=32)
    content_snapshot = Bytea(null=True, default=None)
    provider_message_id = Varchar(length=255, null=True, default=None)
    delivery_status = Varchar(length=16)
    timestamp = Timestamptz(default=TimestamptzNow())
    notification_id = UUID(null=True, default=None)
    account_ref = Varchar(length=64)
    address_hash = Bytea(null=True, default=None)
    provider_message_hash = Bytea(null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
