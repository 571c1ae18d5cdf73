"""The outbox's SQL: insert, begin, record, sweep, and the provider's statuses.

The functions behind it stand in core/migrations/sql/outbox.sql; each call is one statement for a
whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction

PATIENCE: Final = timedelta(seconds=2)
"""The longest a message may wait between claim and begin; the caps count on it (rulings B2)."""

MARGIN: Final = timedelta(seconds=15)
"""How much of its lease a message needs at begin: longer than the HTTP timeout (rulings A16)."""

MAX_BEGIN: Final = 32
"""How many messages begin together (rulings B4)."""

GO: Final = "go"


class NewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A notification to be queued.

    Attributes:
        due_at: when to send; stored as `next_retry_at` (rulings A8).
        variables_sealed: the values' source, sealed; rendered at begin (rulings B12).
        fallback_of: the message whose place it takes.
        fallbacks: the channels that are left should it fail, best first.
        fallback_after: how long it may take to arrive before the next channel follows.
    """

    id: UUID
    business_id: UUID
    customer_id: UUID
    channel: str
    event_type: str
    template_name: str
    language_code: str
    template_version: int
    purpose: str
    payload: dict[str, Any]
    due_at: datetime
    event_id: UUID | None
    rule_key: str
    booking_ref: str | None
    generation: int
    address_id: UUID
    connection_id: UUID
    useful_until: datetime | None
    variables_sealed: bytes
    trace_id: str
    fallback_of: UUID | None = None
    fallbacks: tuple[str, ...] = ()
    fallback_after: timedelta | None = None


class BegunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message after its last look: sent now if the verdict is `go`, else told why not."""

    id: UUID
    business_id: UUID
    customer_id: UUID
    channel: str
    verdict: str
    attempt: int
    retry_count: int
    kind: str
    purpose: str
    account_ref: str | None
    address_id: UUID | None
    address_kind: str | None
    address_sealed: bytes | None
    address_hash: bytes | None
    template_name: str
    language_code: str
    template_version: int
    template_body: str | None
    category: str | None
    parameter_format: str | None
    parameters: list[str] | None
    payload_json: dict[str, Any]
    variables_sealed: bytes | None
    lease_until: datetime | None
    business_name: str
    event_type: str
    booking_ref: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of one send.

    Attributes:
        outcome: accepted, retry, wait, failed or unknown.
        reason: kebab-case, why it is not sent; empty when it is.
        delay: how long to wait; with retry and wait only.
    """

    id: UUID
    outcome: str
    reason: str = ""
    code: str = ""
    provider_message_id: str = ""
    provider_message_hash: bytes | None = None
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Touched:
    """A row that a statement moved, and the lane it belongs to; `was` is its status before."""

    id: UUID
    business_id: UUID
    channel: str
    became: str = ""
    was: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNews:
    """One status of the provider, ready for the database.

    Attributes:
        counts: a failure that says something of the channel.
    """

    account: str
    callback: UUID | None
    provider_message_id: str
    provider_message_hash: bytes
    status: str
    occurred_at: datetime
    code: str
    counts: bool = False


async def insert(transaction: Transaction, rows: Sequence[NewRow]) -> None:
    """Queue notifications in one statement."""
    if not rows:
        return
    columns = msgspec.structs.fields(NewRow)
    await transaction.execute(
        """
        INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type,
            template_name, language_code, template_version, purpose, payload_json, next_retry_at,
            event_id, rule_key, booking_ref, generation, address_id, connection_id, useful_until,
            variables_sealed, trace_id, fallback_of, fallbacks, fallback_after)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],
            $6::text[], $7::text[], $8::int[], $9::text[], $10::jsonb[], $11::timestamptz[],
            $12::uuid[], $13::text[], $14::text[], $15::int[], $16::uuid[], $17::uuid[],
            $18::timestamptz[], $19::bytea[], $20::text[], $21::uuid[], $22::jsonb[],
            $23::interval[])
        """,
        *([getattr(row, column.name) for row in rows] for column in columns),
    )


async def begin(transaction: Transaction, token: UUID, ids: Sequence[UUID]) -> list[BegunRow]:
    """Look a last time at claimed messages and mark those that go; commit before sending."""
    rows = await transaction.fetch(
        "SELECT * FROM outbox_begin($1, $2, $3, $4)", list(ids), token, PATIENCE, MARGIN
    )
    return [BegunRow(**dict(row)) for row in rows]


async def give_back(transaction: Transaction, token: UUID, ids: Sequence[UUID]) -> None:
    """Return claimed messages that were not begun to the queue."""
    await transaction.execute(
        """
        UPDATE notification_outbox o
        SET phase = 'waiting', lease_token = NULL, lease_until = NULL,
            updated_at = clock_timestamp()
        FROM (SELECT x.id FROM notification_outbox x
              WHERE x.id = ANY ($1) AND x.lease_token = $2 AND x.phase = 'leased'
              ORDER BY x.id FOR NO KEY UPDATE) s
        WHERE o.id = s.id
        """,
        list(ids),
        token,
    )


async def record(
    transaction: Transaction, token: UUID, results: Sequence[Recorded]
) -> dict[UUID, bool]:
    """Write down what became of sends; tells per message whether it was still ours to say."""
    rows = await transaction.fetch(
        "SELECT id, applied FROM outbox_record($1, $2, $3, $4, $5, $6, $7, $8)",
        token,
        [one.id for one in results],
        [one.outcome for one in results],
        [one.reason for one in results],
        [one.code for one in results],
        [one.provider_message_id for one in results],
        [one.provider_message_hash for one in results],
        [one.delay for one in results],
    )
    return {row["id"]: row["applied"] for row in rows}


async def sweep(transaction: Transaction, limit: int = 500) -> list[Touched]:
    """Deal with leases that ended and with messages that are no longer useful."""
    rows = await transaction.fetch("SELECT * FROM outbox_sweep($1)", limit)
    return [Touched(row["id"], row["business_id"], row["channel"], row["became"]) for row in rows]


async def resend_unconfirmed(transaction: Transaction, grace: timedelta) -> list[Touched]:
    """Queue unconfirmed messages again for businesses that want it; `grace` is the usual one."""
    rows = await transaction.fetch("SELECT * FROM outbox_resend_unconfirmed($1)", grace)
    return [Touched(row["id"], row["business_id"], row["channel"], "waiting") for row in rows]


async def close_unconfirmed(
    transaction: Transaction, channels: Sequence[str], grace: timedelta
) -> list[Touched]:
    """Fail unconfirmed messages of channels whose provider cannot settle them."""
    rows = await transaction.fetch(
        "SELECT * FROM outbox_close_unconfirmed($1, $2)", list(channels), grace
    )
    return [Touched(row["id"], row["business_id"], row["channel"]) for row in rows]


async def apply_statuses(
    transaction: Transaction, channel: str, news: Sequence[StatusNews]
) -> list[Touched | None]:
    """Move messages forward by the provider's news; None where no message of ours was found."""
    rows = await transaction.fetch(
        "SELECT * FROM outbox_apply_statuses($1, $2, $3, $4, $5, $6, $7, $8) ORDER BY place",
        channel,
        [one.account for one in news],
        [one.callback for one in news],
        [one.provider_message_id for one in news],
        [one.provider_message_hash for one in news],
        [one.status for one in news],
        [one.occurred_at for one in news],
        [one.code for one in news],
    )
    return [
        Touched(row["id"], row["business_id"], channel, row["status"] or "", row["was"] or "")
        if row["id"] is not None
        else None
        for row in rows
    ]
