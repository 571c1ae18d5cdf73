"""Applies the providers' stored calls, many at once: statuses, inbound messages, account news.

One applier per channel at a time; a body that cannot be applied never costs the others theirs;
after five tries it is put aside as dead, with its reason (rulings B9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from core.alerts.store import raise_alert
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
from core.outbox.sealing import sealing_context
from core.sandbox.news import read_news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.channels.channel import Channel
    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey
    from core.notify.services import Services

log = structlog.get_logger()

TRIES: Final = 5
PARKED_FOR: Final = timedelta(hours=24)

_LOCK: Final = 781_002


@dataclass(frozen=True, slots=True)
class _Body:
    """One stored call and the news in it."""

    id: UUID
    events: tuple[ProviderEvent, ...]


async def apply_waiting(services: Services, channel: str, limit: int = 200) -> int:
    """Apply a channel's stored calls; returns how many were taken, 0 when there were none."""
    async with services.database.engine() as transaction:
        mine = await transaction.fetchval(
            "SELECT pg_try_advisory_xact_lock($1, hashtext($2))", _LOCK, channel
        )
        if not mine:
            return 0
        rows = await transaction.fetch(
            """
            SELECT id, body_sealed, headers, test_business_id FROM provider_inbox
            WHERE channel = $1 AND state = 'waiting'
              AND (due_at IS NULL OR due_at <= clock_timestamp())
            ORDER BY id LIMIT $2 FOR NO KEY UPDATE
            """,
            channel,
            limit,
        )
        failed: dict[UUID, str] = {}
        woken: set[LaneKey] = set()
        bodies: list[_Body] = []
        for row in rows:
            try:
                bodies.append(_read(services, services.channels[channel], channel, row))
            except Exception as error:  # noqa: BLE001 - one bad body must not cost the others
                failed[row["id"]] = type(error).__name__
        failed |= await _apply_or_bisect(services, transaction, channel, bodies, woken)
        # After the bodies: people are locked before messages, as everybody else does it.
        woken |= await news.retry_parked(services, transaction, channel)
        await _close(transaction, channel, [row["id"] for row in rows], failed)
        crashpoint("inbox_before_commit", len(rows))
    crashpoint("inbox_applied", len(rows))
    services.ring.lanes(woken)
    for row_id, reason in failed.items():
        await log.awarning("inbox.failed", channel=channel, row=str(row_id), reason=reason)
    return len(rows)


def _read(services: Services, channel: Channel, slug: str, row: Any) -> _Body:
    body = services.vault.open(row["body_sealed"], context=sealing_context(slug, row["id"]))
    if row["test_business_id"] is not None:
        return _Body(row["id"], read_news(body))
    request = WebhookRequest(headers=row["headers"], query={}, body=body)
    return _Body(row["id"], tuple(channel.parse(request)))


async def _apply_or_bisect(
    services: Services,
    transaction: Transaction,
    channel: str,
    bodies: Sequence[_Body],
    woken: set[LaneKey],
) -> dict[UUID, str]:
    """Apply bodies together; where that fails, halve until the bad one stands alone.

    Lanes to wake after the commit are added to `woken`.
    """
    if not bodies:
        return {}
    try:
        async with savepoint(transaction):
            woken |= await _apply(services, transaction, channel, bodies)
    except Exception as error:  # noqa: BLE001 - the savepoint is rolled back, the rest goes on
        if len(bodies) == 1:
            return {bodies[0].id: f"{type(error).__name__}: {error}"[:500]}
        half = len(bodies) // 2
        return {
            **await _apply_or_bisect(services, transaction, channel, bodies[:half], woken),
            **await _apply_or_bisect(services, transaction, channel, bodies[half:], woken),
        }
    return {}


async def _apply(
    services: Services, transaction: Transaction, channel: str, bodies: Sequence[_Body]
) -> set[LaneKey]:
    fresh = await news.drop_known(
        services, transaction, channel, [event for body in bodies for event in body.events]
    )
    statuses = [event for event in fresh if isinstance(event, StatusUpdate)]
    inbound = [event for event in fresh if isinstance(event, InboundMessage)]
    others = [event for event in fresh if isinstance(event, ChannelEvent)]
    # A STOP locks people, then their messages; statuses lock messages only, so they come second.
    woken = await news.keep_inbound(services, transaction, channel, inbound)
    woken |= await news.apply_statuses(services, transaction, channel, statuses, PARKED_FOR)
    if known := [event for event in others if event.known]:
        async with savepoint(transaction):
            await services.channels[channel].apply(transaction, known)
    await news.count(transaction, channel, [news.kind_of(event) for event in fresh])
    return woken


async def _close(
    transaction: Transaction, channel: str, ids: Sequence[UUID], failed: dict[UUID, str]
) -> None:
    """Mark what was applied as done; count the tries of what was not, tell of the dead."""
    rows = await transaction.fetch(
        """
        UPDATE provider_inbox i SET
            attempts = i.attempts + 1, error = t.error,
            state = CASE WHEN t.error IS NULL THEN 'done'
                         WHEN i.attempts + 1 >= $3 THEN 'dead' ELSE 'waiting' END,
            done_at = CASE WHEN t.error IS NULL THEN clock_timestamp() END
        FROM unnest($1::uuid[], $2::text[]) AS t(id, error) WHERE i.id = t.id
        RETURNING i.state
        """,
        list(ids),
        [failed.get(row_id) for row_id in ids],
        TRIES,
    )
    if any(row["state"] == "dead" for row in rows):
        await raise_alert(transaction, None, "webhook-not-applied", channel)
