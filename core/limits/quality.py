"""The quality stop: a lane stands while the provider says that people do not want its messages.

The function stands in core/migrations/sql/quality.sql.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction


async def judge(transaction: Transaction, business_id: UUID, channel: str) -> str:
    """Bring a lane to what the catalogue says of its accounts; call it where that changes.

    Returns:
        `stopped`, `warned` or `good` at a change, else nothing. The database raises the alert.
    """
    became: str | None = await transaction.fetchval(
        "SELECT became FROM lane_judge_quality($1, $2)", business_id, channel
    )
    return became or ""
