"""The steps of a worker, one by one: what an engine test does in place of a running process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.channels.messages import Status, StatusUpdate
from core.ids import new_uuid
from core.limits import lanes
from core.notify import delivery
from core.outbox.sealing import sealing_context

if TYPE_CHECKING:
    from uuid import UUID

    from fixture_scripted import Salon

    from core.notify.handovers import Begun
    from core.notify.services import Services

TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def wake_and_claim(services: Services) -> tuple[UUID, list[UUID]]:
    """Do what a ring and a worker do: wake the lanes, claim what is due."""
    async with services.database.engine() as transaction:
        await lanes.wake(transaction, services.ring.woken)  # type: ignore[attr-defined]
    token = new_uuid()
    async with services.database.engine() as transaction:
        claimed = await lanes.claim(
            transaction, lanes=16, quantum=16, token=token, channels=tuple(services.channels)
        )
    return token, [one.id for one in claimed]


async def begin(services: Services) -> tuple[UUID, list[Begun]]:
    """Claim and begin what is due."""
    token, ids = await wake_and_claim(services)
    return token, await delivery.begin_batch(services, token, ids)


async def send_all(services: Services) -> int:
    """Claim, begin, hand over and record everything that is due once."""
    token, begun = await begin(services)
    results = [await delivery.hand_over(services, one) for one in begun]
    services.ring.lanes(await delivery.record_batch(services, token, results))
    return len(results)


async def store_call(services: Services, channel: str) -> None:
    """Put a call of the provider into the inbox; its body is what the sender will parse."""
    row_id = new_uuid()
    async with services.database.engine() as transaction:
        await transaction.execute(
            "INSERT INTO provider_inbox (id, channel, headers, body_sealed)"
            " VALUES ($1, $2, $3, $4)",
            row_id,
            channel,
            {},
            services.vault.seal(b"{}", context=sealing_context(channel, row_id)),
        )


def update(salon: Salon, status: Status, *, minutes: int = 0, **fields: Any) -> StatusUpdate:
    """Build a status of the first sent message."""
    message = salon.sender.sent[0]
    told: dict[str, Any] = {
        "account": f"account-{salon.business.ref}",
        "callback_id": message.callback_id,
        "dedupe": f"{status}-{minutes}",
        "provider_message_id": f"provider-1-{message.callback_id}",
        "status": status,
        "occurred_at": datetime.now(UTC) + timedelta(minutes=minutes),
    }
    return StatusUpdate(**(told | fields))
