"""Raises and resolves alerts: one open row per (kind, business, subject), never a second.

Do it in the transaction of what the alert tells of. The database writes the callbacks with it;
the mail follows from the row itself. Some are raised and ended by the database
(core/migrations/sql/alerts.sql): what follows from a connection, a template, a lost answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.alerts.kinds import KINDS
from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.channels.host import Transaction

_COLUMNS: Final = (
    "a.id, a.business_id, a.kind, a.subject, a.state, a.acked_by, a.acked_at, a.arguments,"
    " a.created_at, a.resolved_at, a.resolved_by,"
    " (SELECT b.ref FROM business b WHERE b.id = a.business_id) AS business_ref"
)


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it stands."""

    id: UUID
    business_id: UUID | None
    business_ref: str | None
    kind: str
    subject: str
    state: str
    acked_by: str | None
    acked_at: datetime | None
    arguments: dict[str, Any]
    created_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Something a person should act on.

    Attributes:
        business_id: None for an alert of the platform's own.
        kind: kebab-case, after a channel's own facts `<slug>.<fact>`.
        subject: which of several things of this kind, for example an account.
        arguments: what the sentence about it needs; no personal data.
        ends_with: what ends it; None asks the core's catalogue.
    """

    business_id: UUID | None
    kind: str
    subject: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    ends_with: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which alerts to list; what is None does not narrow.

    Attributes:
        business_id: one business's.
        mode: those of businesses of this mode.
        state: open, acked, resolved, or unresolved for the first two.
        before: the last one of the page before.
    """

    business_id: UUID | None = None
    mode: str | None = None
    state: str | None = None
    kind: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: UUID | None = None
    limit: int = 50


async def raise_alerts(transaction: Transaction, matters: Iterable[Matter]) -> int:
    """Say that a person should act; returns how many of it were not said already."""
    told = sorted(matters, key=lambda one: (one.kind, str(one.business_id), one.subject))
    if not told:
        return 0
    rows = await transaction.fetch(
        """
        INSERT INTO alert (id, business_id, kind, subject, arguments, ends_with)
        SELECT t.id, t.business_id, t.kind, t.subject, t.arguments, t.ends_with
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[])
            WITH ORDINALITY AS t(id, business_id, kind, subject, arguments, ends_with, place)
        ORDER BY t.place
        ON CONFLICT (kind, business_id, subject) WHERE state <> 'resolved' DO NOTHING
        RETURNING id
        """,
        [new_uuid() for _ in told],
        [one.business_id for one in told],
        [one.kind for one in told],
        [one.subject[:200] for one in told],
        [dict(one.arguments) for one in told],
        [_ends_with(one) for one in told],
    )
    return len(rows)


async def resolve_alerts(
    transaction: Transaction, matters: Iterable[tuple[UUID | None, str, str]]
) -> int:
    """Say that (business, kind, subject) are over; returns how many were open."""
    told = list(matters)
    if not told:
        return 0
    rows = await transaction.fetch(
        """
        WITH held AS MATERIALIZED (
            SELECT a.id FROM alert a
            JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS t(business_id, kind, subject)
              ON a.kind = t.kind AND a.subject = t.subject
             AND a.business_id IS NOT DISTINCT FROM t.business_id
            WHERE a.state <> 'resolved' ORDER BY a.id FOR NO KEY UPDATE OF a)
        UPDATE alert a SET state = 'resolved' FROM held h WHERE a.id = h.id RETURNING a.id
        """,
        [business_id for business_id, _, _ in told],
        [kind for _, kind, _ in told],
        [subject[:200] for _, _, subject in told],
    )
    return len(rows)


async def raise_alert(
    transaction: Transaction,
    business_id: UUID | None,
    kind: str,
    subject: str = "",
    arguments: Mapping[str, str] | None = None,
) -> bool:
    """Say one thing, see `raise_alerts`; returns False when that was said already."""
    matter = Matter(business_id=business_id, kind=kind, subject=subject, arguments=arguments or {})
    return await raise_alerts(transaction, [matter]) > 0


async def resolve_alert(
    transaction: Transaction, business_id: UUID | None, kind: str, subject: str = ""
) -> bool:
    """Say that one thing is over; returns False when nothing was open."""
    return await resolve_alerts(transaction, [(business_id, kind, subject)]) > 0


async def list_alerts(transaction: Transaction, wanted: Wanted) -> list[AlertRow]:
    """Return alerts, the newest first, one more than the limit if there are."""
    rows = await transaction.fetch(
        f"""
        SELECT {_COLUMNS} FROM alert a
        WHERE ($1::uuid IS NULL OR a.business_id = $1)
          AND ($2::text IS NULL OR EXISTS (
              SELECT FROM business b WHERE b.id = a.business_id AND b.mode = $2))
          AND ($3::text IS NULL OR a.state = $3
               OR ($3 = 'unresolved' AND a.state <> 'resolved'))
          AND ($4::text IS NULL OR a.kind = $4)
          AND ($5::timestamptz IS NULL OR a.created_at >= $5)
          AND ($6::timestamptz IS NULL OR a.created_at < $6)
          AND ($7::uuid IS NULL OR a.id < $7)
        ORDER BY a.id DESC LIMIT $8
        """,
        wanted.business_id,
        wanted.mode,
        wanted.state,
        wanted.kind,
        wanted.created_after,
        wanted.created_before,
        wanted.before,
        wanted.limit + 1,
    )
    return [AlertRow(**row) for row in rows]


async def find_alert(
    transaction: Transaction, alert_id: UUID, *, lock: bool = False
) -> AlertRow | None:
    """Return an alert that the transaction's role may see."""
    row = await transaction.fetchrow(
        f"SELECT {_COLUMNS} FROM alert a WHERE a.id = $1"
        + (" FOR NO KEY UPDATE OF a" if lock else ""),
        alert_id,
    )
    return None if row is None else AlertRow(**row)


async def acknowledge(transaction: Transaction, alert_id: UUID, actor: str) -> bool:
    """Take an open alert on; returns False when it was not open."""
    tag = await transaction.execute(
        "UPDATE alert SET state = 'acked', acked_by = $2 WHERE id = $1 AND state = 'open'",
        alert_id,
        actor[:100],
    )
    return tag != "UPDATE 0"


async def end(transaction: Transaction, alert_id: UUID, actor: str) -> bool:
    """Say as a person that it is over; returns False when it was over already."""
    tag = await transaction.execute(
        "UPDATE alert SET state = 'resolved', resolved_by = $2 "
        "WHERE id = $1 AND state <> 'resolved'",
        alert_id,
        actor[:100],
    )
    return tag != "UPDATE 0"


async def review(transaction: Transaction) -> int:
    """Set right what two transactions of one moment could not see of each other."""
    changed: int = await transaction.fetchval("SELECT alert_review()")
    return changed


def _ends_with(matter: Matter) -> str:
    if matter.ends_with is not None:
        return matter.ends_with
    kind = KINDS.get(matter.kind)
    return kind.ends_with if kind else ""
