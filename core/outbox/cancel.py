"""Stops messages that wait: the half of every change that must stop a send (rulings B3).

Call it in the transaction that changes the truth. Rows are locked in id order and waited for: a
row that `begin` has locked is either still ours afterwards, or in flight and left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.channels.host import Transaction

_CANCEL: Final = """
WITH stopped AS MATERIALIZED (
    SELECT o.id FROM notification_outbox o
    WHERE o.business_id = $1 AND o.phase IN ('waiting', 'leased') AND {condition}
    ORDER BY o.id FOR UPDATE)
UPDATE notification_outbox o
SET status = 'canceled', phase = 'final', reason = $2, lease_token = NULL, lease_until = NULL,
    next_retry_at = NULL, sequence = o.sequence + 1, updated_at = clock_timestamp()
FROM stopped s WHERE o.id = s.id AND o.phase IN ('waiting', 'leased')
RETURNING o.id
"""


async def bookings(
    transaction: Transaction,
    business_id: UUID,
    refs: Sequence[str],
    reason: str,
    *,
    direct: bool = True,
) -> list[UUID]:
    """Cancel what waits for these bookings; returns the messages that were stopped.

    Without `direct` those that no rule made stay: news of a booking does not make them old.
    """
    condition = "o.booking_ref = ANY ($3)" + ("" if direct else " AND o.rule_key <> ''")
    rows = await transaction.fetch(
        _CANCEL.format(condition=condition), business_id, reason, list(refs)
    )
    return [row["id"] for row in rows]


async def notices(
    transaction: Transaction, business_id: UUID, keys: Sequence[tuple[str, str]], reason: str
) -> list[UUID]:
    """Cancel what waits of these notices, named by booking and rule."""
    condition = "(o.booking_ref, o.rule_key) IN (SELECT * FROM unnest($3::text[], $4::text[]))"
    rows = await transaction.fetch(
        _CANCEL.format(condition=condition),
        business_id,
        reason,
        [ref for ref, _ in keys],
        [rule for _, rule in keys],
    )
    return [row["id"] for row in rows]


async def on_their_way(
    transaction: Transaction, business_id: UUID, refs: Sequence[str]
) -> dict[str, list[UUID]]:
    """Return by booking the messages that are with the provider right now: too late to stop."""
    rows = await transaction.fetch(
        """
        SELECT o.booking_ref, o.id FROM notification_outbox o
        WHERE o.business_id = $1 AND o.booking_ref = ANY ($2) AND o.phase = 'in_flight'
        ORDER BY o.id
        """,
        business_id,
        list(refs),
    )
    found: dict[str, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["booking_ref"], []).append(row["id"])
    return found
