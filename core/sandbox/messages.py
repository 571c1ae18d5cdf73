"""The messages of test businesses, as the recipients' telephones would show them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from core.ids import new_uuid
from core.sandbox.tables import Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction, Vault


class Bubble(msgspec.Struct, frozen=True, kw_only=True):
    """One message, out or in."""

    id: UUID
    channel: str
    direction: Direction
    notification_id: UUID | None
    template: str
    address: str
    text: str
    at: datetime


async def keep_message(
    transaction: Transaction,
    vault: Vault,
    *,
    business_id: UUID,
    channel: str,
    direction: Direction,
    address: str,
    text: str,
    notification_id: UUID | None = None,
    template: str = "",
) -> None:
    """Write one message down, sealed."""
    row_id = new_uuid()
    await transaction.execute(
        """
        INSERT INTO sandbox_message (id, business_id, channel, direction, notification_id,
                                     template, address_sealed, text_sealed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        row_id,
        business_id,
        channel,
        direction,
        notification_id,
        template,
        vault.seal(address.encode(), context=_context("address_sealed", business_id, row_id)),
        vault.seal(text.encode(), context=_context("text_sealed", business_id, row_id)),
    )


async def list_messages(
    transaction: Transaction, vault: Vault, business_id: UUID, *, limit: int, before: UUID | None
) -> Sequence[Bubble]:
    """Return messages, the newest first."""
    rows = await transaction.fetch(
        """
        SELECT * FROM sandbox_message WHERE business_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
        """,
        business_id,
        before,
        limit,
    )

    def opened(column: str, row_id: UUID, sealed: bytes) -> str:
        return vault.open(sealed, context=_context(column, business_id, row_id)).decode()

    return [
        Bubble(
            id=row["id"],
            channel=row["channel"],
            direction=Direction(row["direction"]),
            notification_id=row["notification_id"],
            template=row["template"],
            address=opened("address_sealed", row["id"], row["address_sealed"]),
            text=opened("text_sealed", row["id"], row["text_sealed"]),
            at=row["created_at"],
        )
        for row in rows
    ]


def _context(column: str, business_id: UUID, row_id: UUID) -> tuple[str, ...]:
    return ("sandbox_message", column, str(business_id), str(row_id))
