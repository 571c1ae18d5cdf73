"""Reads which notices take the place of which: the same message on another channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.ids import DECISION, NOTIFICATION, outward
from core.notify.explain import Link, Links

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from core.channels.host import Transaction

_MESSAGE: Final = """
SELECT o.id AS notification_id, o.channel, o.created_at, o.status,
       o.phase IN ('in_flight', 'unconfirmed') OR o.sent_at IS NOT NULL AS departed
FROM notification_outbox o WHERE o.business_id = $1 AND
"""
_DECISION: Final = """
SELECT d.id, d.notification_id, d.channel, d.created_at, coalesce(o.status, d.outcome) AS status,
       coalesce(o.phase IN ('in_flight', 'unconfirmed') OR o.sent_at IS NOT NULL, false)
       AS departed
FROM decision d
LEFT JOIN notification_outbox o ON o.business_id = d.business_id AND o.id = d.notification_id
WHERE d.business_id = $1 AND
"""


async def links_of(
    transaction: Transaction,
    business_id: UUID,
    message: Mapping[str, Any] | None,
    decision: Mapping[str, Any] | None,
) -> Links:
    """Return the neighbours of a message, or of a notice that was only decided about.

    A message points to messages where it can, and to decisions where a channel was only asked.
    """
    before = after = None
    if message is not None:
        if message["fallback_of"] is not None:
            before = await _row(
                transaction, _MESSAGE + "o.id = $2", business_id, message["fallback_of"]
            )
        if message["followed_at"] is not None:
            after = await _row(
                transaction, _MESSAGE + "o.fallback_of = $2", business_id, message["id"]
            )
    if decision is not None:
        if before is None and decision["fallback_of"] is not None:
            before = await _row(
                transaction, _DECISION + "d.id = $2", business_id, decision["fallback_of"]
            )
        if after is None:
            after = await _row(
                transaction,
                _DECISION + "d.fallback_of = $2 ORDER BY d.id DESC LIMIT 1",
                business_id,
                decision["id"],
            )
    return Links(before=_link(before), after=_link(after))


async def _row(
    transaction: Transaction, statement: str, business_id: UUID, key: UUID
) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = await transaction.fetchrow(statement, business_id, key)
    return found


def _link(row: Mapping[str, Any] | None) -> Link | None:
    if row is None:
        return None
    return Link(
        id=outward(NOTIFICATION, row["notification_id"])
        if row["notification_id"]
        else outward(DECISION, row["id"]),
        channel=row["channel"],
        at=row["created_at"],
        status=row["status"],
        left=row["departed"],
    )
