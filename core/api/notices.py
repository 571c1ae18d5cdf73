"""Reads what is told about events and notifications; a few statements, whatever the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.customers.phones import mask_phone
from core.customers.store import address_context
from core.errors import NotFoundError
from core.notify.chains import links_of
from core.notify.explain import explain_decision, explain_notification
from core.notify.source_sealing import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.api.notification_schemas import EventsQuery, NotificationsQuery
    from core.channels.host import Transaction
    from core.notify.explain import Account
    from core.notify.services import Services

SUPPRESSED: Final = "suppressed"
_SHOWN_OF_NAME: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification, or one notice that was never queued, with its account."""

    account: Account
    customer_ref: str
    phone: str | None
    address: str | None
    metadata: dict[str, str]
    row: Mapping[str, Any]


async def load_notification(
    services: Services, transaction: Transaction, business_id: UUID, notification_id: UUID
) -> Notice:
    """Return a queued notification with everything that happened to it.

    Raises:
        NotFoundError: there is none, or it is another business's.
    """
    row = await transaction.fetchrow(
        """
        SELECT o.*, c.ref AS customer_ref, a.kind AS address_kind, a.address_sealed
        FROM notification_outbox o
        JOIN customer c ON c.business_id = o.business_id AND c.id = o.customer_id
        LEFT JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        WHERE o.business_id = $1 AND o.id = $2
        """,
        business_id,
        notification_id,
    )
    if row is None:
        raise NotFoundError("There is no such notification.")
    decision = await transaction.fetchrow(
        """
        SELECT * FROM decision WHERE business_id = $1 AND notification_id = $2
        ORDER BY id DESC LIMIT 1
        """,
        business_id,
        notification_id,
    )
    attempts = await _rows_of(transaction, "send_attempt", "number", business_id, notification_id)
    news = await _rows_of(
        transaction, "status_update", "occurred_at, id", business_id, notification_id
    )
    plugin = services.registry.plugins.get(row["channel"])
    words = plugin.error_words() if plugin else {}
    links = await links_of(transaction, business_id, row, decision)
    account = explain_notification(row, decision, attempts, news, words, links)
    phone, address = masked(services, business_id, row, row["address_id"])
    return Notice(
        account=account,
        customer_ref=row["customer_ref"],
        phone=phone,
        address=address,
        metadata=_metadata(services, business_id, row),
        row=row,
    )


async def load_decision(
    services: Services, transaction: Transaction, business_id: UUID, decision_id: UUID
) -> Notice:
    """Return a notice that was never queued.

    Raises:
        NotFoundError: there is none, or it is another business's, or it was queued.
    """
    row = await transaction.fetchrow(
        """
        SELECT d.*, e.type AS event_type, c.ref AS customer_ref, a.id AS address_id,
               a.kind AS address_kind, a.address_sealed
        FROM decision d
        JOIN event e ON e.business_id = d.business_id AND e.id = d.event_id
        LEFT JOIN customer c ON c.business_id = d.business_id AND c.id = d.customer_id
        LEFT JOIN customer_address a ON a.business_id = d.business_id
             AND a.customer_id = d.customer_id AND a.kind = 'phone' AND a.is_primary
        WHERE d.business_id = $1 AND d.id = $2 AND d.outcome = $3
        """,
        business_id,
        decision_id,
        SUPPRESSED,
    )
    if row is None:
        raise NotFoundError("There is no such notification.")
    phone, address = masked(services, business_id, row, row["address_id"])
    return Notice(
        account=explain_decision(
            row, row["event_type"], await links_of(transaction, business_id, None, row)
        ),
        customer_ref=row["customer_ref"] or "",
        phone=phone,
        address=address,
        metadata={},
        row=row,
    )


async def list_notifications(
    transaction: Transaction,
    business_id: UUID,
    asked: NotificationsQuery,
    before: UUID | None,
    *,
    address_hash: bytes | None = None,
) -> Sequence[Mapping[str, Any]]:
    """Return one row more than was asked for, the newest first.

    With a blind index of an address: only what concerns the customers who have this address.
    """
    suppressed = asked.status == SUPPRESSED
    source = (
        """
        SELECT d.id, d.business_id, d.customer_id, d.event_id, d.outcome AS status, d.reason,
               true AS final, d.channel, d.template_name, d.language_code, d.booking_ref,
               d.created_at, d.created_at AS updated_at
        FROM decision d WHERE d.business_id = $1 AND d.outcome = $2
        """
        if suppressed
        else """
        SELECT o.id, o.business_id, o.customer_id, o.event_id, o.status, o.reason,
               o.phase = 'final' AS final, o.channel, o.template_name, o.language_code,
               o.booking_ref, o.created_at, o.updated_at
        FROM notification_outbox o
        WHERE o.business_id = $1 AND ($2::text IS NULL OR o.status = $2)
        """
    )
    return await transaction.fetch(
        f"""
        SELECT n.*, c.ref AS customer_ref FROM ({source}) n
        LEFT JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
        WHERE ($3::text IS NULL OR c.ref = $3) AND ($4::text IS NULL OR n.booking_ref = $4)
          AND ($5::timestamptz IS NULL OR n.created_at > $5)
          AND ($6::timestamptz IS NULL OR n.created_at < $6)
          AND ($7::uuid IS NULL OR n.id < $7)
          AND ($9::bytea IS NULL OR n.customer_id IN (
              SELECT a.customer_id FROM customer_address a
              WHERE a.business_id = $1 AND a.address_hash = $9))
        ORDER BY n.id DESC LIMIT $8
        """,
        business_id,
        asked.status,
        asked.customer_id,
        asked.booking_ref,
        asked.created_after,
        asked.created_before,
        before,
        asked.limit + 1,
        address_hash,
    )


async def list_events(
    transaction: Transaction, business_id: UUID, asked: EventsQuery, before: UUID | None
) -> Sequence[Mapping[str, Any]]:
    """Return one row more than was asked for, the newest first."""
    return await transaction.fetch(
        """
        SELECT * FROM event WHERE business_id = $1 AND booking_ref = $2
          AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        business_id,
        asked.booking_ref,
        before,
        asked.limit + 1,
    )


async def load_event(
    transaction: Transaction, business_id: UUID, event_id: UUID
) -> Mapping[str, Any]:
    """Return one event.

    Raises:
        NotFoundError: there is none, or it is another business's.
    """
    row: Mapping[str, Any] | None = await transaction.fetchrow(
        "SELECT * FROM event WHERE business_id = $1 AND id = $2", business_id, event_id
    )
    if row is None:
        raise NotFoundError("There is no such event.")
    return row


async def decisions_of(
    transaction: Transaction, business_id: UUID, event_ids: Sequence[UUID]
) -> Sequence[Mapping[str, Any]]:
    """Return the decisions about events, with the state their notifications have now."""
    return await transaction.fetch(
        """
        SELECT d.*, coalesce(o.status, d.outcome) AS status FROM decision d
        LEFT JOIN notification_outbox o
          ON o.business_id = d.business_id AND o.id = d.notification_id
        WHERE d.business_id = $1 AND d.event_id = ANY ($2) ORDER BY d.id
        """,
        business_id,
        list(event_ids),
    )


async def _rows_of(
    transaction: Transaction, table: str, order: str, business_id: UUID, notification_id: UUID
) -> Sequence[Mapping[str, Any]]:
    return await transaction.fetch(
        f"SELECT * FROM {table} WHERE business_id = $1 AND notification_id = $2 ORDER BY {order}",
        business_id,
        notification_id,
    )


def _metadata(services: Services, business_id: UUID, row: Mapping[str, Any]) -> dict[str, str]:
    """Return what the caller of a direct send wants to read again; nothing after an erasure."""
    if row["rule_key"] or row["variables_sealed"] is None:
        return {}
    sealed = row["variables_sealed"]
    return open_source(services.vault, business_id, row["id"], sealed).metadata


def masked(
    services: Services, business_id: UUID, row: Mapping[str, Any], address_id: UUID | None
) -> tuple[str | None, str | None]:
    """Return the masked phone, or another masked address; nothing after an erasure."""
    if address_id is None or row["address_sealed"] is None:
        return None, None
    context = address_context(business_id, address_id)
    plain = services.vault.open(row["address_sealed"], context=context).decode()
    if row["address_kind"] == "phone":
        return mask_phone(plain), None
    name, at, domain = plain.partition("@")
    return None, f"{name[:_SHOWN_OF_NAME]}***{at}{domain if at else ''}"
