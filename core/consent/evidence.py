"""The consent by which a message was sent: the line of the ledger that `begin` relied on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One line behind one sent message; its own fields are empty where there is none.

    Attributes:
        begun_at: when the message was begun.
        valid: the line stood when it was begun, and no revocation after it.
        position: which line of the chain of this customer, channel and purpose it is.
        previous_id: the line before it in that chain.
    """

    notification_id: UUID
    begun_at: datetime
    purpose: str
    valid: bool
    line: UUID | None
    position: int | None
    previous_id: UUID | None
    action: str | None
    channel: str | None
    occurred_at: datetime | None
    recorded_at: datetime | None
    source: str | None
    actor: str | None
    text_version: str | None
    text_hash: bytes | None
    locale: str | None
    proof_reference: str | None
    proof: dict[str, Any] | None


async def evidence(
    transaction: Transaction, business_id: UUID, notification_ids: Sequence[UUID]
) -> list[Evidence]:
    """Return what each of these messages was sent by; one that was never begun has nothing."""
    rows = await transaction.fetch(
        """
        SELECT v.notification_id, v.begun_at, v.purpose, v.valid, v.line, v.place AS position,
            e.previous_id, e.action, e.channel, e.occurred_at, e.at AS recorded_at, e.source,
            e.actor, e.text_version, e.text_hash, e.locale, e.proof_reference, e.proof
        FROM consent_evidence($1, $2) v
        LEFT JOIN consent_event e ON e.business_id = $1 AND e.id = v.line
        ORDER BY v.notification_id, v.purpose DESC
        """,
        business_id,
        list(notification_ids),
    )
    return [Evidence(**row) for row in rows]
