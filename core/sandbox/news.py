"""News of the sandbox's provider: kept in the inbox until their moment, as any provider's call.

They wait in the database, not in a process: whichever worker looks after their moment applies
them, also when the one that sent the message is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.channels.messages import ProviderEvent
from core.ids import new_uuid
from core.outbox.sealing import sealing_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from uuid import UUID

    from core.channels.host import Transaction, Vault


async def announce(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    channel: str,
    events: Sequence[tuple[timedelta, ProviderEvent]],
) -> None:
    """Keep news of a test business, each until so long from now."""
    ids = [new_uuid() for _ in events]
    await transaction.execute(
        """
        INSERT INTO provider_inbox (id, channel, headers, body_sealed, received_at, due_at,
                                    test_business_id)
        SELECT t.id, $1, '{}', t.body, clock_timestamp(), clock_timestamp() + t.wait, $2
        FROM unnest($3::uuid[], $4::bytea[], $5::interval[]) AS t(id, body, wait)
        """,
        channel,
        business_id,
        ids,
        [
            vault.seal(msgspec.json.encode([event]), context=sealing_context(channel, row_id))
            for row_id, (_, event) in zip(ids, events, strict=True)
        ],
        [wait for wait, _ in events],
    )


def read_news(body: bytes) -> tuple[ProviderEvent, ...]:
    """Read back what was kept."""
    return tuple(msgspec.json.decode(body, type=list[ProviderEvent]))
