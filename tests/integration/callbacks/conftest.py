"""A salon on the scripted channel, an endpoint, a receiver, and a sender to step by hand."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from callback_receiver import Receiver, listening

from core.callbacks import endpoints
from tasks.callbacks import CallbackSender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from fixture_scripted import Salon

    from core.notify.services import Services


@dataclass
class Wire:
    """One endpoint of a salon, from the change to the receiver."""

    salon: Salon
    services: Services
    receiver: Receiver
    superuser: Any
    endpoint_id: UUID
    secret: str

    async def add(
        self, *events: str, url: str | None = None, business_id: UUID | None = None
    ) -> tuple[UUID, str]:
        """Make one more endpoint; without a business it is the platform's."""
        async with self.services.database.engine() as transaction:
            made, secret = await endpoints.add_endpoint(
                transaction,
                self.services.vault,
                business_id=business_id,
                mode="live",
                url=url or self.receiver.url,
                events=events,
                description="",
                now=self.services.clock.now(),
            )
        return made.id, secret.reveal()

    async def run(self, until: Callable[[], bool] = lambda: False, rounds: int = 3) -> None:
        """Step a sender of its own until nothing is due, or until something holds."""
        bell = asyncio.Event()
        sender = CallbackSender(self.services, bell)
        try:
            for _ in range(rounds):
                bell.clear()
                while await sender.step():
                    pass
                if until():
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.15):
                        await bell.wait()
                await sender.step()
        finally:
            await sender.drain()

    async def rows(self, endpoint_id: UUID | None = None) -> list[dict[str, Any]]:
        """Return the deliveries of an endpoint in their order."""
        found = await self.superuser.fetch(
            "SELECT * FROM callback_delivery WHERE endpoint_id = $1 ORDER BY created_at, type",
            endpoint_id or self.endpoint_id,
        )
        return [dict(row) for row in found]

    async def due_now(self) -> None:
        """Move every waiting delivery's time to now."""
        await self.superuser.execute(
            "UPDATE callback_delivery SET next_at = now() WHERE state = 'waiting'"
        )

    async def tell(self, count: int = 1) -> None:
        """Write callbacks without any change behind them."""
        await self.superuser.execute(
            """
            SELECT callback_write(array_agg($1::uuid), array_agg('consent.granted'::text),
                array_agg('consent'::text), array_agg(gen_random_uuid()), array_agg(0),
                array_agg('{}'::jsonb), array_agg(now()))
            FROM generate_series(1, $2)
            """,
            self.salon.business.id,
            count,
        )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run a receiver that answers 204."""
    async with listening() as running:
        yield running


@pytest.fixture
async def wire(
    services: Services, open_salon: Callable[..., Any], receiver: Receiver, superuser: Any
) -> Wire:
    """Build a salon with an endpoint that wants everything."""
    salon = await open_salon()
    local = replace(services, local_callbacks=True)
    built = Wire(salon, local, receiver, superuser, salon.business.id, "")
    built.endpoint_id, built.secret = await built.add("*", business_id=salon.business.id)
    return built
