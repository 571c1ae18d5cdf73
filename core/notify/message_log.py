"""Writes the channels' message logs, in sets; the channels only lend the table (rulings A3)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.channels.host import Transaction
    from core.notify.handovers import SendResult
    from core.notify.services import Services

MESSAGE_ID: Final = "provider_message_id"
"""Names the keyed hash by which the provider's id of a message is found (rulings A18)."""

_INSERT: Final = """
INSERT INTO {table} (id, business_id, customer_id, direction, message_type, content_snapshot,
    provider_message_id, delivery_status, "timestamp", notification_id, account_ref, address_hash,
    provider_message_hash)
SELECT t.id, t.business_id, t.customer_id, t.direction, t.message_type, t.content,
    t.message_id, t.status, coalesce(t.at, clock_timestamp()), t.notification_id, t.account,
    t.address_hash, t.hash
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::text[],
    $8::text[], $9::timestamptz[], $10::uuid[], $11::text[], $12::bytea[], $13::bytea[])
    AS t(id, business_id, customer_id, direction, message_type, content, message_id, status, at,
         notification_id, account, address_hash, hash)
"""

_FORWARD: Final = """
UPDATE {table} l SET delivery_status = o.status
FROM notification_outbox o
WHERE o.id = ANY ($1) AND l.business_id = o.business_id AND l.notification_id = o.id
  AND l.direction = 'outbound' AND l.delivery_status <> o.status
"""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message, out or in; `content` is what was said, sealed before it is stored.

    Attributes:
        at: when; None means now, by the database's clock.
    """

    business_id: UUID
    customer_id: UUID | None
    direction: str
    message_type: str
    content: dict[str, str]
    provider_message_id: str
    provider_message_hash: bytes
    status: str
    account: str
    at: datetime | None = None
    notification_id: UUID | None = None
    address_hash: bytes | None = None


def table_of(services: Services, channel: str) -> str | None:
    """Return the name of a channel's message log, if it has one."""
    plugin = services.registry.plugins.get(channel)
    table = plugin.message_log() if plugin else None
    return table._meta.tablename if table else None  # noqa: SLF001 - Piccolo offers no public name


async def write(
    services: Services, transaction: Transaction, channel: str, entries: Sequence[LogEntry]
) -> None:
    """Add entries to a channel's log in one statement."""
    table = table_of(services, channel)
    if table is None or not entries:
        return
    ids = [new_uuid() for _ in entries]
    await transaction.execute(
        _INSERT.format(table=table),
        ids,
        [one.business_id for one in entries],
        [one.customer_id for one in entries],
        [one.direction for one in entries],
        [one.message_type for one in entries],
        [
            services.vault.seal(
                msgspec.json.encode(one.content),
                context=(table, "content_snapshot", str(one.business_id), str(row_id)),
            )
            for row_id, one in zip(ids, entries, strict=True)
        ],
        [one.provider_message_id for one in entries],
        [one.status for one in entries],
        [one.at for one in entries],
        [one.notification_id for one in entries],
        [one.account for one in entries],
        [one.address_hash for one in entries],
        [one.provider_message_hash for one in entries],
    )


async def write_outbound(
    services: Services, transaction: Transaction, results: Iterable[SendResult]
) -> None:
    """Log what was handed over to providers."""
    by_channel: dict[str, list[LogEntry]] = {}
    for result in results:
        begun = result.begun
        if begun.message is None:
            continue
        by_channel.setdefault(begun.channel, []).append(
            LogEntry(
                business_id=begun.business_id,
                customer_id=begun.customer_id,
                direction="outbound",
                message_type="template" if begun.message.template else "text",
                content={"text": begun.text, "template": begun.message.template},
                provider_message_id=result.provider_message_id,
                provider_message_hash=services.vault.keyed_hash(
                    MESSAGE_ID, result.provider_message_id.encode()
                ),
                status="sent",
                account=begun.message.account,
                notification_id=begun.id,
                address_hash=begun.address_hash,
            )
        )
    for channel, entries in by_channel.items():
        await write(services, transaction, channel, entries)
        await forward(services, transaction, channel, [e.notification_id for e in entries])


async def forward(
    services: Services, transaction: Transaction, channel: str, ids: Sequence[UUID | None]
) -> None:
    """Copy the status that notifications have now into the channel's log."""
    table = table_of(services, channel)
    if table is not None and ids:
        await transaction.execute(_FORWARD.format(table=table), list(ids))
