"""Raises and resolves alerts: one open row per (kind, business, subject), never a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from core.channels.host import Transaction


async def raise_alert(
    transaction: Transaction,
    business_id: UUID | None,
    kind: str,
    subject: str = "",
    arguments: Mapping[str, str] | None = None,
) -> bool:
    """Say that a person should act; returns False when that was said already.

    Args:
        transaction: the engine's, or that of the business.
        business_id: None for an alert of the platform's own.
        kind: kebab-case, after a channel's own facts `<slug>.<fact>`.
        subject: which of several things of this kind, for example an account.
        arguments: what the sentence about it needs; no personal data.
    """
    raised = await transaction.fetchval(
        """
        INSERT INTO alert (id, business_id, kind, subject, arguments)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (kind, business_id, subject) WHERE state <> 'resolved' DO NOTHING
        RETURNING true
        """,
        new_uuid(),
        business_id,
        kind,
        subject,
        dict(arguments or {}),
    )
    return bool(raised)


async def resolve_alert(
    transaction: Transaction, business_id: UUID | None, kind: str, subject: str = ""
) -> bool:
    """Say that it is over; returns False when nothing was open."""
    resolved = await transaction.fetchval(
        """
        UPDATE alert SET state = 'resolved', resolved_at = clock_timestamp()
        WHERE kind = $1 AND business_id IS NOT DISTINCT FROM $2 AND subject = $3
          AND state <> 'resolved'
        RETURNING true
        """,
        kind,
        business_id,
        subject,
    )
    return bool(resolved)
