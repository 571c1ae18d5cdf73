"""The loop that sends, on a real PostgreSQL, with a channel that follows a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from scripted_house import House


async def test_a_batch_is_drained_once_each(house: House, business: UUID) -> None:
    """Every due message is handed over exactly once and recorded as sent."""
    ids = await house.queue(business, 200)
    async with house.dispatching(per_business=64):
        await house.until("status = 'sent' AND phase = 'final'", 200)
    assert len(house.channel.sent) == len(house.channel.accepted) == len(ids) == 200
    assert await house.count("provider_message_id LIKE 'prov-%'") == 200
