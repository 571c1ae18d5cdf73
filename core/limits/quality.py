"""The quality stop: a lane stands while the provider says that people do not want its messages.

The function stands in core/migrations/sql/quality.sql.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

STOPPED: Final = "stopped"
WARNED: Final = "warned"
GOOD: Final = "good"


class Turn(NamedTuple):
    """What became of a lane by a change of quality: stopped, warned or good; nothing if none."""

    became: str
    quality: str


async def judge(transaction: Transaction, business_id: UUID, channel: str) -> Turn:
    """Bring a lane to what the catalogue says of its accounts; call it where that changes."""
    row = await transaction.fetchrow(
        "SELECT became, quality FROM lane_judge_quality($1, $2)", business_id, channel
    )
    return Turn(row["became"], row["quality"]) if row else Turn("", "")
