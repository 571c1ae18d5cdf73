"""Drain: a worker of its own sends what is due to a provider with 20 ms latency."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bench import town
from bench.usage import resident_mebibytes
from core.embedded_machine import free_port
from core.ids import NOTIFICATION, outward

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from bench.ground import Ground
    from bench.town import Shop

_OPEN: Final = "SELECT count(*) FROM notification_outbox WHERE status = 'queued'"
_MOST_SECONDS: Final = 100.0
_WARM: Final = 200


async def measure(ground: Ground, messages: int, shops: int) -> None:
    """Send so many messages of so many businesses; judged by the provider's journal."""
    vault = ground.vault()
    async with ground.superuser() as run:
        await town.clear(run)
        places = await town.open_shops(run, vault, shops)
        people = await town.bring_people(run, vault, places, max(1, messages // shops))
        journal = ground.folder / f"journal-{free_port()}"
        port = free_port()
        provider = ("-m", "bench.provider", "--port", str(port), "--journal", str(journal))
        graph = f"http://127.0.0.1:{port}"
        async with (
            ground.process("", *provider),
            ground.process(
                "worker-ready",
                *("-m", "core.cli", "worker"),
                PATCHBAY_WHATSAPP_GRAPH_URL=graph,
            ) as worker,
        ):
            warm = await town.queue_messages(run, vault, people[:_WARM], 1)
            await town.wake_all(run)
            await _until_sent(run)
            queued = await town.queue_messages(run, vault, people, 1)
            await run.execute("ANALYZE")
            meter = ground.meter(worker)
            commits = await _commits(run)
            meter.start()
            await town.wake_all(run)
            await _until_sent(run)
            meter.stop()
            commits = await _commits(run) - commits
            print(meter.line(f"{shops} businesses", len(queued)))
            print(f"    {commits * 1000 / len(queued):,.0f} transactions per 1,000 messages")
            print(f"    the worker holds {resident_mebibytes(worker):.0f} MiB")
        _judge(journal, [*warm, *queued])


async def leave_sent(ground: Ground, run: Any, messages: int) -> tuple[list[Shop], list[UUID]]:
    """Leave messages that were sent, as a worker would have, for news about them."""
    vault = ground.vault()
    await town.clear(run)
    shops = await town.open_shops(run, vault, 10)
    people = await town.bring_people(run, vault, shops, max(1, messages // len(shops)))
    ids = await town.queue_messages(run, vault, people, 1)
    await run.execute(
        "UPDATE notification_outbox SET status = 'sent', phase = 'final', next_retry_at = NULL, "
        "sent_at = now(), provider_message_id = 'wamid.' || id"
    )
    await run.execute(
        "INSERT INTO whatsapp_message_log (id, business_id, customer_id, direction, message_type, "
        "delivery_status, notification_id, account_ref) SELECT gen_random_uuid(), business_id, "
        "customer_id, 'outbound', 'template', 'sent', id, '' FROM notification_outbox"
    )
    await run.execute("ANALYZE")
    return shops, ids


async def _commits(run: Any) -> int:
    """Count the transactions that wrote something."""
    return int(await run.fetchval("SELECT pg_current_xact_id()::text"))


async def _until_sent(run: Any) -> None:
    """Wait until nothing is queued any more.

    Raises:
        RuntimeError: it takes too long; says what is left.
    """
    ends_at = time.monotonic() + _MOST_SECONDS
    while left := await run.fetchval(_OPEN):
        if time.monotonic() > ends_at:
            raise RuntimeError(f"{left} messages are still queued after {_MOST_SECONDS:.0f} s")
        await asyncio.sleep(0.02)


def _judge(journal: Path, queued: list[UUID]) -> None:
    """Say what the provider never saw, and what it saw twice.

    Raises:
        RuntimeError: either is not 0.
    """
    seen = Counter(journal.read_text().split())
    wanted = {outward(NOTIFICATION, one) for one in queued}
    lost = len(wanted - set(seen))
    doubled = sum(times - 1 for times in seen.values())
    print(f"    by the provider's journal: {len(seen):,} messages, lost {lost}, doubled {doubled}")
    if lost or doubled:
        raise RuntimeError(f"lost {lost}, doubled {doubled}")
