"""The kill switch: pauses one business, one channel, one of the other, or everything.

A pause is a row; the lanes it concerns are stopped in the same transaction, so that claim and
begin need to look at nothing new. What waits is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.ids import new_uuid

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a pause reaches: a part that is None means all of them."""

    business_id: UUID | None = None
    channel: str | None = None

    @property
    def target(self) -> str:
        """Return the reach as the audit trail names it."""
        return f"sending:{self.business_id or '*'}/{self.channel or '*'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause that is in force."""

    reach: Reach
    reason: str
    actor: str
    created_at: datetime


async def pause(transaction: Transaction, reach: Reach, *, reason: str, actor: str) -> bool:
    """Stop lanes; returns False when this very pause was in force already."""
    made = await transaction.fetchval(
        """
        INSERT INTO sending_pause (id, business_id, channel, reason, actor)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (business_id, channel) DO NOTHING RETURNING true
        """,
        new_uuid(),
        reach.business_id,
        reach.channel,
        reason,
        actor[:100],
    )
    await refresh(transaction, reach)
    return bool(made)


async def resume(transaction: Transaction, reach: Reach) -> tuple[bool, list[LaneKey]]:
    """End a pause; tells whether there was one, and which lanes run again: wake them.

    A lane that another pause reaches, that is suspended or not connected, stays as it is.
    """
    ended = await transaction.fetchval(
        """
        DELETE FROM sending_pause
        WHERE business_id IS NOT DISTINCT FROM $1 AND channel IS NOT DISTINCT FROM $2
        RETURNING true
        """,
        reach.business_id,
        reach.channel,
    )
    return bool(ended), await refresh(transaction, reach)


async def refresh(transaction: Transaction, reach: Reach) -> list[LaneKey]:
    """Set lanes to what their pauses, suspension and connections say; returns those that run."""
    rows = await transaction.fetch(
        "SELECT business_id, channel, state FROM lane_refresh($1, $2)",
        reach.business_id,
        reach.channel,
    )
    return [(row["business_id"], row["channel"]) for row in rows if row["state"] == "active"]


async def in_force(transaction: Transaction, business_id: UUID | None = None) -> list[Pause]:
    """Return the pauses that reach a business, or all of them; the widest first."""
    rows = await transaction.fetch(
        """
        SELECT business_id, channel, reason, actor, created_at FROM sending_pause
        WHERE $1::uuid IS NULL OR business_id IS NULL OR business_id = $1
        ORDER BY business_id NULLS FIRST, channel NULLS FIRST
        """,
        business_id,
    )
    return [
        Pause(
            reach=Reach(row["business_id"], row["channel"]),
            reason=row["reason"],
            actor=row["actor"],
            created_at=row["created_at"],
        )
        for row in rows
    ]
