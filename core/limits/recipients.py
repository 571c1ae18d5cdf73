"""The pace of each recipient: what one person gets in a day, and how far apart.

The functions stand in core/migrations/sql/recipients.sql.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from uuid import UUID

    from core.channels.host import Transaction


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed message that does not go now.

    Attributes:
        verdict: rest (its lane rests), pace (its recipient must wait), limit (canceled: the
            recipient got enough today).
    """

    id: UUID
    business_id: UUID
    channel: str
    verdict: str


async def hold_back(transaction: Transaction, token: UUID, ids: Sequence[UUID]) -> list[Held]:
    """Take out of claimed messages those that must not begin now; call it right before begin.

    The confirmation of a stop is not held back: who is written to too often says stop, and is
    told that it was heard.
    """
    rows = await transaction.fetch(
        """
        SELECT * FROM outbox_gate(ARRAY(
            SELECT o.id FROM notification_outbox o
            WHERE o.id = ANY ($1) AND o.kind <> 'confirmation'), $2)
        """,
        list(ids),
        token,
    )
    return [Held(row["id"], row["business_id"], row["channel"], row["verdict"]) for row in rows]


async def count(transaction: Transaction, begun: Mapping[UUID, bool]) -> None:
    """Count begun messages for their recipients; the value tells a first try from a repeat."""
    if begun:
        await transaction.execute(
            "SELECT recipient_count($1, $2)", list(begun), list(begun.values())
        )


async def slow_down(transaction: Transaction, waits: Mapping[UUID, timedelta]) -> None:
    """Let the recipients of these messages wait, and then get their messages further apart."""
    if waits:
        await transaction.execute(
            "SELECT recipient_slow($1, $2)", list(waits), list(waits.values())
        )
