"""The table of the sandbox."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import UUID, Bytea, Varchar
from piccolo.table import Table

from core.channels.columns import BusinessRow


class Direction(StrEnum):
    """Who wrote."""

    OUT = "outbound"
    IN = "inbound"


class SandboxMessage(BusinessRow, Table, tablename="sandbox_message"):
    """A message of a test business, as the recipient's telephone would show it."""

    channel = Varchar(length=32)
    direction = Varchar(length=8, choices=Direction)
    notification_id = UUID(null=True, default=None)
    template = Varchar(length=512, default="")
    address_sealed = Bytea()
    text_sealed = Bytea()
