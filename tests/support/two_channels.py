"""A salon with two channels: one that answers as told, and behind it the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from engine_steps import send_all, store_call, update
from fixture_scripted import CHANNEL

from core.catalogue.store import Catalogue
from core.channels.host import Host
from core.consent import ledger
from core.notify.connections import lane_follows
from core.notify.inbox import apply_waiting
from core.notify.intake import take_in
from core.notify.rule_store import put_rule
from core.notify.rules import BUILT_IN
from plugins.console.plugin import ConsolePlugin
from tasks.timetable import follow_up

if TYPE_CHECKING:
    from uuid import UUID

    from fixture_scripted import Salon

    from core.channels.messages import Status
    from core.notify.events import Answer
    from core.notify.services import Services

CONSOLE = "console"
START = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)


@dataclass
class TwoChannels:
    """The salon, its customer, and the steps that tests of fallbacks take."""

    salon: Salon
    superuser: Any
    customer: UUID

    @property
    def services(self) -> Services:
        """Return the process's parts."""
        return self.salon.services

    async def agree(self, channel: str) -> None:
        """Let the customer agree to a channel."""
        now = self.services.clock.now()
        async with self.services.database.business(self.salon.business.id) as transaction:
            await ledger.grant(
                transaction,
                self.salon.business.id,
                ledger.Grant(
                    customer_id=self.customer,
                    channel=channel,
                    purpose="transactional",
                    source="web",
                    granted_at=now,
                    text_version="en-v1",
                    locale="en",
                ),
                actor="test",
                now=now,
            )

    async def rule(self, *channels: str, **fields: Any) -> None:
        """Let confirmations go along these channels."""
        told = msgspec.structs.replace(BUILT_IN["confirmed"], channels=channels, **fields)
        async with self.services.database.business(self.salon.business.id) as transaction:
            assert await put_rule(
                transaction, self.salon.business.id, told, self.services.clock.now()
            )

    async def tell(self, event_id: str = "e-1", **fields: Any) -> Answer:
        """Tell one event of the booking B-1."""
        event = self.salon.event(event_id, **({"starts_at": START} | fields))
        return (await take_in(self.services, self.salon.business, [event]))[0]

    async def sent(self) -> int:
        """Send what is due on all channels."""
        return await send_all(self.services)

    async def news(self, status: Status, **fields: Any) -> None:
        """Let the provider of the first channel tell a status of the first message."""
        self.salon.sender.news = [update(self.salon, status, **fields)]
        await store_call(self.services, CHANNEL)
        assert await apply_waiting(self.services, CHANNEL)

    async def rows(self) -> list[tuple[str, str, str]]:
        """Return channel, status and reason of every message, the oldest first."""
        found = await self.superuser.fetch(
            "SELECT channel, status, reason FROM notification_outbox ORDER BY id"
        )
        return [tuple(row) for row in found]

    async def logged(self) -> int:
        """Return how many messages the console has handed over."""
        found: int = await self.superuser.fetchval("SELECT count(*) FROM console_entry")
        return found

    async def overdue(self) -> None:
        """Let the patience with what was sent be over."""
        await self.superuser.execute(
            "UPDATE notification_outbox SET fallback_at = fallback_at - interval '1 hour'"
        )


async def with_console(salon: Salon, superuser: Any) -> TwoChannels:
    """Connect a salon to the console too; the customer has agreed to the first channel only."""
    services, plugin = salon.services, ConsolePlugin()

    async def nothing(*_: object, **__: object) -> None:
        raise AssertionError("the console queues nothing and reports nothing")

    def options(shape: type[Any]) -> Any:
        return shape()

    host = Host(
        slug=CONSOLE,
        clock=services.clock,
        http=None,  # type: ignore[arg-type]  # the console calls nobody
        vault=services.vault,
        options=options,
        begin=services.database.engine,
        enqueue=nothing,
        report=nothing,
        catalogue=Catalogue(CONSOLE, lane_follows),
        public_url=services.public_url,
    )
    services.registry.plugins[CONSOLE] = plugin
    services.channels[CONSOLE] = plugin.channel(host)  # type: ignore[index]
    await plugin.connect(host, salon.business.id, {})
    return TwoChannels(salon, superuser, await salon.customer())


async def sweep(pair: TwoChannels) -> None:
    """Do what the timetable does."""
    async with pair.services.database.engine() as transaction:
        await follow_up(pair.services, transaction)
