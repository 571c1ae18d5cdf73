"""Applies the providers' stored calls, many at once: statuses, inbound messages, account news.

One applier per channel at a time; a body that cannot be applied never costs the others theirs;
after five tries it is put aside as dead, with its reason (rulings B9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from core.channels.messages import (
    ChannelEvent,
    InboundMessage,
    ProviderEvent,
    StatusUpdate,
    WebhookRequest,
)
from core.crashpoint import crashpoint
from core.db import savepoint
from core.notify import news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.channels.channel import Channel
    from core.channels.host import Transaction
    from core.notify.services import Services

log = structlog.get_logger()

TRIES: Final = 5
PARKED_FOR: Final = timedelta(hours=24)

_LOCK: Final = 781_002
_SEALED: Final = ("provider_inbox", "body_sealed")


@dataclass(frozen=True, slots=True)
class _Body:
    """One stored call and the news in it."""

    id: UUID
    events: tuple[ProviderEvent, ...]


def sealing_context(channel: str, row_id: UUID) -> tuple[str, ...]:
    """Return what a stored body is bound to; it belongs to no business."""
    return (*_SEALED, channel, str(row_id))


async def apply_waiting(services: Services, channel: str, limit: int = 200) -> int:
    """Apply a channel's stored calls; returns how many were taken, 0 when there were none."""
    async with services.database.engine() as transaction:
        mine = await transaction.fetchval(
            "SELECT pg_try_advisory_xact_lock($1, hashtext($2))", _LOCK, channel
        )
        if not mine:
            return 0
        await news.retry_parked(services, transaction, channel)
        rows = await transaction.fetch(
            """
            SELECT id, body_sealed, headers FROM provider_inbox
            WHERE channel = $1 AND state = 'waiting' ORDER BY id LIMIT $2 FOR NO KEY UPDATE
            """,
            channel,
            limit,
        )
        failed: dict[UUID, str] = {}
        bodies: list[_Body] = []
        for row in rows:
            try:
                bodies.append(_read(services, services.channels[channel], channel, row))
            except Exception as error:  # noqa: BLE001 - one bad body must not cost the others
                failed[row["id"]] = type(error).__name__
        failed |= await _apply_or_bisect(services, transaction, channel, bodies)
        await _close(transaction, [row["id"] for row in rows], failed)
        crashpoint("inbox_before_commit", len(rows))
    crashpoint("inbox_applied", len(rows))
    for row_id, reason in failed.items():
        await log.awarning("inbox.failed", channel=channel, row=str(row_id), reason=reason)
    return len(rows)


def _read(services: Services, channel: Channel, slug: str, row: Any) -> _Body:
    body = services.vault.open(row["body_sealed"], context=sealing_context(slug, row["id"]))
    request = WebhookRequest(headers=row["headers"], query={}, body=body)
    return _Body(row["id"], tuple(channel.parse(request)))


async def _apply_or_bisect(
    services: Services, transaction: Transaction, channel: str, bodies: Sequence[_Body]
) -> dict[UUID, str]:
    """Apply bodies together; where that fails, halve until the bad one stands alone."""
    if not bodies:
        return {}
    try:
        async with savepoint(transaction):
            await _apply(services, transaction, channel, bodies)
    except Exception as error:  # noqa: BLE001 - the savepoint is rolled back, the rest goes on
        if len(bodies) == 1:
            return {bodies[0].id: f"{type(error).__name__}: {error}"[:500]}
        half = len(bodies) // 2
        return {
            **await _apply_or_bisect(services, transaction, channel, bodies[:half]),
            **await _apply_or_bisect(services, transaction, channel, bodies[half:]),
        }
    return {}


async def _apply(
    services: Services, transaction: Transaction, channel: str, bodies: Sequence[_Body]
) -> None:
    fresh = await news.drop_known(
        services, transaction, channel, [event for body in bodies for event in body.events]
    )
    statuses = [event for event in fresh if isinstance(event, StatusUpdate)]
    inbound = [event for event in fresh if isinstance(event, InboundMessage)]
    others = [event for event in fresh if isinstance(event, ChannelEvent)]
    await news.apply_statuses(services, transaction, channel, statuses, PARKED_FOR)
    await news.keep_inbound(services, transaction, channel, inbound)
    if known := [event for event in others if event.known]:
        async with savepoint(transaction):
            await services.channels[channel].apply(transaction, known)
    await news.count(transaction, channel, [news.kind_of(event) for event in fresh])


async def _close(transaction: Transaction, ids: Sequence[UUID], failed: dict[UUID, str]) -> None:
    """Mark what was applied as done; count the tries of what was not."""
    await transaction.execute(
        """
        UPDATE provider_inbox i SET
            attempts = i.attempts + 1, error = t.error,
            state = CASE WHEN t.error IS NULL THEN 'done'
                         WHEN i.attempts + 1 >= $3 THEN 'dead' ELSE 'waiting' END,
            done_at = CASE WHEN t.error IS NULL THEN clock_timestamp() END
        FROM unnest($1::uuid[], $2::text[]) AS t(id, error) WHERE i.id = t.id
        """,
        list(ids),
        [failed.get(row_id) for row_id in ids],
        TRIES,
    )
