"""Messages that take the place of others: the SQL.

The functions stand in core/migrations/sql/fallbacks.sql.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.channels.host import Transaction


@dataclass(frozen=True, slots=True)
class Follower:
    """A message that took another's place, and had left when that one arrived after all."""

    id: UUID
    business_id: UUID
    channel: str


async def take(transaction: Transaction, ids: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
    """Lock and return those of these messages that failed and were not followed up yet."""
    return await transaction.fetch("SELECT * FROM outbox_take_unfollowed($1, 0)", list(ids))


async def take_overdue(transaction: Transaction, limit: int) -> Sequence[Mapping[str, Any]]:
    """Lock and return what has not arrived in time, or failed and was overlooked."""
    return await transaction.fetch("SELECT * FROM outbox_take_unfollowed(NULL, $1)", limit)


async def call_back(transaction: Transaction, arrived: Sequence[UUID]) -> list[Follower]:
    """Cancel what follows messages that arrived after all; returns what had left already."""
    if not arrived:
        return []
    rows = await transaction.fetch("SELECT * FROM outbox_call_back($1)", list(arrived))
    return [
        Follower(row["id"], row["business_id"], row["channel"])
        for row in rows
        if not row["canceled"]
    ]


async def drop_outrun(transaction: Transaction, token: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Cancel claimed followers of messages that have arrived; call it right before begin."""
    rows = await transaction.fetch("SELECT id FROM outbox_drop_outrun($1, $2)", list(ids), token)
    return [row["id"] for row in rows]
