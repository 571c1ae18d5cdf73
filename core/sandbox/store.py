"""Moves the clock of a test business, and empties one; the SQL refuses any other business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

    from core.channels.host import Transaction

KEPT: Final = (
    "api_key",
    "audit_log",
    "callback_endpoint",
    "consent_text",
    "membership",
    "notification_rule",
    "user_session",
)
"""What emptying leaves: who may come in, how it is set up, and what was done."""


async def advance(transaction: Transaction, business_id: UUID, by: timedelta) -> int:
    """Move the clock, in the engine's role; returns how many seconds it is ahead now."""
    ahead: int = await transaction.fetchval(
        "SELECT sandbox_advance($1, $2)", business_id, int(by.total_seconds())
    )
    return ahead


async def empty(transaction: Transaction, business_id: UUID) -> int:
    """Delete a test business's data, in the engine's role; returns how many rows went."""
    gone: int = await transaction.fetchval("SELECT sandbox_reset($1, $2)", business_id, list(KEPT))
    return gone
