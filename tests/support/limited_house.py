"""A house whose channel answers as told, and the steps of a worker for tests of limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripted_house import CHANNEL, House

from core.ids import new_uuid
from core.limits import lanes
from core.notify import delivery
from core.outbox import store

if TYPE_CHECKING:
    from uuid import UUID

    from fixture_scripted import ScriptedSender

    from core.errors import SendError
    from core.notify.handovers import Begun
    from core.notify.services import Services


@dataclass
class LimitedHouse(House):
    """A house with the steps of a worker, one by one."""

    @property
    def sender(self) -> ScriptedSender:
        """Return the channel."""
        sender: ScriptedSender = self.services.channels[CHANNEL]  # type: ignore[assignment]
        return sender

    def answer(self, *answers: SendError | None) -> None:
        """Say what the provider answers next; after that it accepts."""
        self.sender.answers += answers

    async def wake(self) -> None:
        """Wake every lane, as a ring does after a commit."""
        rows = await self.superuser.fetch("SELECT business_id, channel FROM lane")
        async with self.services.database.engine() as transaction:
            await lanes.wake(transaction, [(row[0], row[1]) for row in rows])

    async def claim(self) -> tuple[UUID, list[UUID]]:
        """Wake and claim what is due."""
        await self.wake()
        token = new_uuid()
        async with self.services.database.engine() as transaction:
            claimed = await lanes.claim(
                transaction, lanes=16, quantum=64, token=token, channels=[CHANNEL]
            )
        return token, [one.id for one in claimed]

    async def begin(self, token: UUID, ids: list[UUID]) -> list[Begun]:
        """Begin what was claimed, at most 32 at a time."""
        begun: list[Begun] = []
        for start in range(0, len(ids), store.MAX_BEGIN):
            batch = ids[start : start + store.MAX_BEGIN]
            begun += await delivery.begin_batch(self.services, token, batch)
        return begun

    async def finish(self, token: UUID, begun: list[Begun]) -> int:
        """Hand over and record together; returns how many were handed over."""
        results = [await delivery.hand_over(self.services, one) for one in begun]
        if results:
            await delivery.record_batch(self.services, token, results)
        return len(results)

    async def send_due(self) -> int:
        """Claim, begin, hand over and record what is due now."""
        token, ids = await self.claim()
        return await self.finish(token, await self.begin(token, ids))

    async def lane(self, business: UUID) -> Any:
        """Return a lane's row."""
        return await self.superuser.fetchrow("SELECT * FROM lane WHERE business_id = $1", business)

    async def stands(self, business: UUID) -> tuple[str, str]:
        """Return a lane's state and why."""
        row = await self.lane(business)
        return row["state"], row["reason"]

    async def change(self, business: UUID, **settings: int | str) -> None:
        """Change settings of a business."""
        await self.superuser.execute(
            "UPDATE business SET settings = settings || $2::text::jsonb WHERE id = $1",
            business,
            json.dumps(settings),
        )

    async def second_recipient(self, business: UUID, ids: list[UUID]) -> None:
        """Give these waiting messages to another address of the same customer."""
        address = new_uuid()
        context = ("customer_address", "address_sealed", str(business), str(address))
        sealed = self.services.vault.seal(b"+390698765432", context=context)
        await self.superuser.execute(
            "INSERT INTO customer_address (id, business_id, customer_id, kind, address_sealed, "
            "address_hash) SELECT $2, $1, customer_id, 'phone', $3, $4 FROM customer_address "
            "WHERE business_id = $1 LIMIT 1",
            business,
            address,
            sealed,
            b"other",
        )
        await self.superuser.execute(
            "UPDATE notification_outbox SET address_id = $1 WHERE id = ANY ($2)", address, ids
        )


def limited(services: Services, superuser: Any) -> LimitedHouse:
    """Build the house around a process's parts."""
    return LimitedHouse(services, None, None, superuser)  # type: ignore[arg-type]
