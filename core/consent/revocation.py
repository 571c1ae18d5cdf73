"""After a revocation was acknowledged, nothing is sent (rulings B3).

One transaction changes the consent and cancels what waits; then it is watched until nothing is
in flight for that person. What `begin` does on its side makes the outbox row the only judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.consent import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.clock import Clock
    from core.consent.ledger import ConsentState
    from core.db import Database

REASON: Final = "consent-revoked"
PATIENCE_SECONDS: Final = 11.0
"""The HTTP timeout of a send, and one second: after that an answer must be given."""

_LOOK_EVERY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did: the consents that turned to no, and how many messages it stopped."""

    changed: list[ConsentState]
    canceled: int


async def revoke(
    transaction: Transaction,
    business_id: UUID,
    customer_ids: Iterable[UUID],
    channel: str,
    *,
    purposes: Sequence[str],
    source: str,
    actor: str,
    now: datetime,
    occurred_at: datetime | None = None,
    proof: dict[str, Any] | None = None,
) -> Revoked:
    """Write the no and cancel what waits, in one transaction.

    Outbox rows are canceled even where the no already held: asking again is always safe.
    """
    customers = sorted(set(customer_ids))
    changed = await ledger.record_revocation(
        transaction,
        business_id,
        customers,
        channel,
        purposes=purposes,
        source=source,
        actor=actor,
        now=now,
        occurred_at=occurred_at,
        proof=proof,
    )
    canceled = await cancel_waiting(
        transaction, business_id, customers, channel, purposes=purposes, now=now
    )
    return Revoked(changed, canceled)


async def cancel_waiting(
    transaction: Transaction,
    business_id: UUID,
    customer_ids: Sequence[UUID],
    channel: str,
    *,
    purposes: Sequence[str],
    now: datetime,
) -> int:
    """Cancel what waits or is only leased; blocks on rows that `begin` holds, in id order."""
    rows = await transaction.fetch(
        """
        WITH affected AS MATERIALIZED (
            SELECT o.id FROM notification_outbox o
            WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.channel = $3
              AND o.purpose = ANY ($4) AND o.kind <> 'confirmation'
              AND o.phase IN ('waiting', 'leased')
            ORDER BY o.id FOR UPDATE
        )
        UPDATE notification_outbox o
        SET status = 'canceled', phase = 'final', reason = $5, lease_token = NULL,
            lease_until = NULL, next_retry_at = NULL, updated_at = $6, sequence = o.sequence + 1
        FROM affected a WHERE o.business_id = $1 AND o.id = a.id
        RETURNING o.id
        """,
        business_id,
        list(customer_ids),
        channel,
        list(purposes),
        REASON,
        now,
    )
    return len(rows)


async def count_canceled(
    transaction: Transaction,
    business_id: UUID,
    customer_id: UUID,
    channel: str,
    *,
    purpose: str,
    revoked_at: datetime,
) -> int:
    """Count what one revocation canceled, so that asking again gets the same answer.

    `revoked_at` is when it was written: rows canceled with it carry the same moment.
    """
    counted = await transaction.fetchval(
        """
        SELECT count(*) FROM notification_outbox
        WHERE business_id = $1 AND customer_id = $2 AND channel = $3 AND purpose = $4
          AND status = 'canceled' AND reason = $5 AND updated_at = $6
        """,
        business_id,
        customer_id,
        channel,
        purpose,
        REASON,
        revoked_at,
    )
    return int(counted)


async def drain(
    database: Database,
    clock: Clock,
    business_id: UUID,
    customer_id: UUID,
    channel: str,
    *,
    patience: float = PATIENCE_SECONDS,
) -> int:
    """Wait until nothing is in flight for a person; return how many still are."""
    ends_at = clock.monotonic() + patience
    while True:
        async with database.business(business_id) as transaction:
            in_flight = int(
                await transaction.fetchval(
                    """
                    SELECT count(*) FROM notification_outbox
                    WHERE business_id = $1 AND customer_id = $2 AND channel = $3
                      AND phase = 'in_flight'
                    """,
                    business_id,
                    customer_id,
                    channel,
                )
            )
        if in_flight == 0 or clock.monotonic() >= ends_at:
            return in_flight
        await clock.sleep(_LOOK_EVERY_SECONDS)
