"""Suspension: a lane that fails too often stops by itself, and finds its own way back.

The functions stand in core/migrations/sql/suspension.sql.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey

WELL: Final = "0"
FAILED: Final = "1"
FAILED_LATE: Final = "2"
"""The provider told later that what counted as well has failed: turns a mark, adds none."""

SUSPENDED: Final = "suspended"
RESUMED: Final = "resumed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a lane: suspended, probed (tried out in vain) or resumed."""

    business_id: UUID
    channel: str
    became: str


async def judge(transaction: Transaction, marks: Mapping[LaneKey, str]) -> list[Verdict]:
    """Add how attempts went and stop or free lanes by it; only changes are returned.

    Args:
        transaction: the one that records the attempts.
        marks: per lane a string of `WELL`, `FAILED` and `FAILED_LATE`, the oldest first.
    """
    if not marks:
        return []
    keys = sorted(marks)
    rows = await transaction.fetch(
        "SELECT business_id, channel, became FROM lane_judge($1, $2, $3)",
        [business_id for business_id, _ in keys],
        [channel for _, channel in keys],
        [marks[key] for key in keys],
    )
    return [Verdict(row["business_id"], row["channel"], row["became"]) for row in rows]


async def probe(transaction: Transaction) -> list[LaneKey]:
    """Let suspended lanes whose minute has passed try one message; returns those lanes."""
    rows = await transaction.fetch("SELECT business_id, channel FROM lane_probe()")
    return [(row["business_id"], row["channel"]) for row in rows]


async def lift(transaction: Transaction, business_id: UUID, channel: str | None) -> list[str]:
    """Forget why a business's channels stopped themselves; returns those that had.

    A stop for low quality comes again only when the provider changes its mind.

    The lanes themselves follow with `pauses.refresh`.
    """
    rows = await transaction.fetch(
        """
        UPDATE lane_health SET ring = '', suspended_at = NULL, probe_at = NULL,
               quality_stopped_at = NULL
        WHERE business_id = $1 AND ($2::text IS NULL OR channel = $2)
          AND (suspended_at IS NOT NULL OR quality_stopped_at IS NOT NULL)
        RETURNING channel
        """,
        business_id,
        channel,
    )
    return sorted(row["channel"] for row in rows)
