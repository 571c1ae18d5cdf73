"""The deliveries' SQL: claim, record, list, test and replay; each is one statement for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.callbacks.kinds import TEST
from core.callbacks.schedule import ATTEMPTS
from core.db import affected
from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction

LEASE: Final = timedelta(seconds=60)
"""How long a worker may take for one attempt; four times the time limit of the exchange."""

PER_ENDPOINT: Final = 16
"""Most callbacks of one endpoint on their way at once."""

PER_FAILING_ENDPOINT: Final = 2
"""The same while it fails: an address that hangs must not take everybody's places."""

DISABLE_AFTER: Final = timedelta(days=5)
GAP: Final = timedelta(hours=36)
"""Longer than any wait of the schedule: failures further apart are not one row of failures."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as the log of deliveries shows it."""

    id: UUID
    business_id: UUID | None
    endpoint_id: UUID
    type: str
    subject: str
    subject_id: UUID | None
    sequence: int
    body: dict[str, Any]
    occurred_at: datetime
    state: str
    attempt: int
    next_at: datetime | None
    last_status: int | None
    last_error: str
    tries: list[dict[str, Any]]
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What became of one attempt.

    Attributes:
        token: the lease it was made under; a record under another one is passed over.
        outcome: delivered, retry, failed, or gone (the receiver wants nothing more).
        status: the receiver's answer; None without one.
        error: a kebab-case word; empty when delivered.
        wait: until the next attempt; with retry only.
    """

    id: UUID
    token: UUID
    outcome: str
    status: int | None
    error: str
    wait: timedelta | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """An endpoint that a record disabled.

    Attributes:
        reason: gone or failing.
    """

    endpoint_id: UUID
    business_id: UUID | None
    reason: str


async def claim(
    transaction: Transaction, token: UUID, limit: int, *, each: int = PER_ENDPOINT
) -> list[Delivery]:
    """Take due callbacks for delivery, fairly among the endpoints; commit before delivering."""
    rows = await transaction.fetch(
        "SELECT * FROM callback_claim($1, $2, $3, $4, $5, $6)",
        limit,
        each,
        PER_FAILING_ENDPOINT,
        ATTEMPTS,
        token,
        LEASE,
    )
    return [_delivery(row) for row in rows]


async def record(transaction: Transaction, attempts: Sequence[Attempted]) -> list[SwitchedOff]:
    """Write down what became of attempts; returns the endpoints that were disabled by it."""
    rows = await transaction.fetch(
        "SELECT * FROM callback_record($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [one.id for one in attempts],
        [one.token for one in attempts],
        [one.outcome for one in attempts],
        [one.status for one in attempts],
        [one.error for one in attempts],
        [one.wait for one in attempts],
        [one.milliseconds for one in attempts],
        DISABLE_AFTER,
        GAP,
    )
    return [SwitchedOff(row["endpoint_id"], row["business_id"], row["became"]) for row in rows]


async def list_deliveries(
    transaction: Transaction,
    endpoint_id: UUID,
    *,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    """Return an endpoint's callbacks, the newest first, one more than `limit` if there are."""
    rows = await transaction.fetch(
        """
        SELECT * FROM callback_delivery
        WHERE endpoint_id = $1 AND ($2::text IS NULL OR state = $2)
          AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        endpoint_id,
        state,
        before,
        limit + 1,
    )
    return [_delivery(row) for row in rows]


async def add_test(
    transaction: Transaction, endpoint_id: UUID, business_id: UUID | None, now: datetime
) -> UUID:
    """Write a callback that tells nothing; returns its id."""
    row_id = new_uuid()
    await transaction.execute(
        """
        INSERT INTO callback_delivery (id, business_id, endpoint_id, type, subject, subject_id,
                                       body, occurred_at, next_at, created_at)
        SELECT $1, $2, $3, $4, 'endpoint', $3,
               jsonb_build_object('business_id', (SELECT ref FROM business WHERE id = $2)),
               $5, $5, $5
        """,
        row_id,
        business_id,
        endpoint_id,
        TEST,
        now,
    )
    return row_id


async def replay(
    transaction: Transaction,
    endpoint_id: UUID,
    *,
    since: datetime,
    until: datetime,
    only_failed: bool,
) -> int:
    """Put callbacks of a period back to be delivered anew, under their own ids; count them."""
    states = ["failed"] if only_failed else ["failed", "delivered"]
    tag = await transaction.execute(
        """
        UPDATE callback_delivery
        SET state = 'waiting', attempt = 0, next_at = clock_timestamp(), ended_at = NULL,
            tries = '[]'
        WHERE endpoint_id = $1 AND state = ANY ($2) AND occurred_at >= $3 AND occurred_at <= $4
        """,
        endpoint_id,
        states,
        since,
        until,
    )
    return affected(tag)


def _delivery(row: Any) -> Delivery:
    fields = Delivery.__struct_fields__
    return Delivery(**{name: row[name] for name in fields})
