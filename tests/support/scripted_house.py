"""A house with a scripted channel, people to write to, and messages that wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from core.ids import new_uuid
from core.notify.events import EventCustomer
from core.notify.wording import Source
from tasks.dispatch import Dispatcher
from tasks.line import Line
from tasks.looping import keep_going

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from core.notify.services import Services
    from core.testing.channels import ScriptedChannel
    from tasks.ring import Bells

CHANNEL = "scripted"


@dataclass
class House:
    """The services of a worker with its scripted channel, and the test's own view of the rows."""

    services: Services
    channel: ScriptedChannel
    bells: Bells
    superuser: Any

    async def add_business(self, ref: str, *, cap_minute: int = 100_000) -> UUID:
        """Make a business that is connected, with one customer who agreed."""
        business, customer, address = new_uuid(), new_uuid(), new_uuid()
        context = ("customer_address", "address_sealed", str(business), str(address))
        sealed = self.services.vault.seal(b"+390612345678", context=context)
        run = self.superuser.execute
        await run(
            "INSERT INTO business (id, ref, name, settings) "
            "VALUES ($1, $2, $2, '{\"per_recipient_day\": 100000}')",
            business,
            ref,
        )
        await run(
            "INSERT INTO customer (id, business_id, ref, locale, timezone) "
            "VALUES ($1, $2, 'c-1', 'en', 'UTC')",
            customer,
            business,
        )
        await run(
            "INSERT INTO customer_address (id, business_id, customer_id, kind, address_sealed, "
            "address_hash) VALUES ($1, $2, $3, 'phone', $4, $5)",
            address,
            business,
            customer,
            sealed,
            b"hash",
        )
        await run(
            "INSERT INTO customer_consents (business_id, customer_id, channel, opt_in, opt_in_at, "
            "source, purpose) VALUES ($1, $2, $3, true, now(), 'web', 'transactional')",
            business,
            customer,
            CHANNEL,
        )
        await run(
            "INSERT INTO channel_connection (business_id, channel, account_ref) "
            "VALUES ($1, $2, $3)",
            business,
            CHANNEL,
            f"account-{ref}",
        )
        await run(
            "INSERT INTO channel_template (business_id, channel, name, language, usable, "
            "parameters, body) VALUES ($1, $2, 'hello', 'en', true, '{}', 'Hello')",
            business,
            CHANNEL,
        )
        await run(
            "INSERT INTO lane (business_id, channel, next_at, cap_minute, burst, tokens, cap_day) "
            "VALUES ($1, $2, 'infinity', $3, $4, $4::int, 1000000)",
            business,
            CHANNEL,
            cap_minute,
            max(1, cap_minute // 10),
        )
        return business

    async def queue(self, business: UUID, count: int = 1, *, wake: bool = True) -> list[UUID]:
        """Put messages in the outbox, due now."""
        source = Source(business_name="Salon", timezone="UTC", customer=EventCustomer(id="c-1"))
        encoded = msgspec.json.encode(source)
        ids = [new_uuid() for _ in range(count)]
        sealed = [
            self.services.vault.seal(
                encoded,
                context=("notification_outbox", "variables_sealed", str(business), str(one)),
            )
            for one in ids
        ]
        await self.superuser.execute(
            """
            INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type,
                template_name, language_code, address_id, variables_sealed, next_retry_at)
            SELECT n.id, $1, a.customer_id, $2, 'booking.confirmed', 'hello', 'en', a.id, n.sealed,
                clock_timestamp()
            FROM unnest($3::uuid[], $4::bytea[]) AS n(id, sealed)
            CROSS JOIN (SELECT * FROM customer_address WHERE business_id = $1
                        ORDER BY created_at LIMIT 1) a
            """,
            business,
            CHANNEL,
            ids,
            sealed,
        )
        if wake:
            self.services.ring.lanes([(business, CHANNEL)])
        return ids

    async def count(self, condition: str = "true") -> int:
        """Count outbox rows."""
        found: int = await self.superuser.fetchval(
            f"SELECT count(*) FROM notification_outbox WHERE {condition}"
        )
        return found

    async def until_at_least(self, condition: str, wanted: int, seconds: float = 30.0) -> None:
        """Wait until so many outbox rows, or more, are in this state."""
        ends_at = time.monotonic() + seconds
        while (found := await self.count(condition)) < wanted:
            assert time.monotonic() < ends_at, f"{found} rows of {wanted} are {condition}"
            await asyncio.sleep(0.01)

    async def until(self, condition: str, wanted: int, seconds: float = 30.0) -> None:
        """Wait until so many outbox rows are in this state."""
        ends_at = time.monotonic() + seconds
        while (found := await self.count(condition)) != wanted:
            assert time.monotonic() < ends_at, f"{found} rows of {wanted} are {condition}"
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def dispatching(self, **limits: Any) -> AsyncIterator[Dispatcher]:
        """Run the dispatch loop, and stop it as a worker does."""
        dispatcher = Dispatcher(self.services, self.bells.lanes, Line("database"), **limits)
        stop = asyncio.Event()
        loop = asyncio.create_task(
            keep_going(
                "dispatch",
                dispatcher.step,
                stop=stop,
                bell=self.bells.lanes,
                line=Line("database"),
            )
        )
        try:
            yield dispatcher
        finally:
            stop.set()
            self.bells.lanes.set()
            await loop
            await dispatcher.drain()
