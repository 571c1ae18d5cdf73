"""The engine's hot paths: taking events in, and claiming what is due."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from bench.ground import open_services
from core import embedded
from core.businesses.store import BusinessIn, add_business
from core.ids import new_uuid
from core.limits import lanes
from core.notify.events import Booking, EventCustomer, NotificationEvent
from core.notify.intake import take_in

if TYPE_CHECKING:
    from core.deployment import Deployment
    from core.notify.services import Services

TENANTS = 1_000
CLAIMS = 60
TOGETHER = 200
SINGLES = 200
BATCHES = 20
BATCH = 100


async def measure_claim(deployment: Deployment, rows: int) -> None:
    """Claim 200 of many queued rows of a thousand tenants, fairly and within their caps."""
    connection = await _superuser(deployment)
    await _fill(connection, rows)
    async with open_services(deployment) as services:
        waits: list[float] = []
        claimed = 0
        for _ in range(CLAIMS):
            started = time.perf_counter()
            async with services.database.engine() as transaction:
                found = await lanes.claim(
                    transaction, lanes=50, quantum=4, token=new_uuid(), channels=("console",)
                )
            waits.append((time.perf_counter() - started) * 1000)
            claimed += len(found)
    print(
        f"  {CLAIMS} claims of up to {TOGETHER} among {rows:,} rows of {TENANTS:,} tenants: "
        f"p50 {statistics.median(waits):.1f} ms, max {max(waits):.1f} ms, {claimed:,} rows"
    )
    await connection.close()


async def measure_intake(deployment: Deployment, rows: int) -> None:
    """Take events in one by one, and a hundred at a time; everything durable before the answer."""
    del rows
    async with open_services(deployment) as services:
        business = await _business(services)
        started = time.perf_counter()
        for n in range(SINGLES):
            await take_in(services, business, [_event(business.ref, f"one-{n}")])
        singles = SINGLES / (time.perf_counter() - started)
        started = time.perf_counter()
        for n in range(BATCHES):
            events = [_event(business.ref, f"many-{n}-{m}") for m in range(BATCH)]
            await take_in(services, business, events)
        batches = BATCHES * BATCH / (time.perf_counter() - started)
    print(f"  one at a time: {singles:,.0f} events/s; {BATCH} at a time: {batches:,.0f} events/s")


async def _superuser(deployment: Deployment) -> Any:
    if deployment.embedded is None:
        raise AssertionError("the benchmark brings its own database")
    return await asyncpg.connect(embedded.superuser_url(deployment.embedded))


async def _fill(connection: Any, rows: int) -> None:
    """Queue rows of many tenants, due already."""
    await connection.execute(
        """
        INSERT INTO business (id, ref, name) SELECT gen_random_uuid(), 'b-' || g, 'Salon'
        FROM generate_series(1, $1) g ON CONFLICT DO NOTHING
        """,
        TENANTS,
    )
    await connection.execute(
        """
        INSERT INTO customer (id, business_id, ref)
        SELECT gen_random_uuid(), id, 'c' FROM business ON CONFLICT DO NOTHING
        """
    )
    await connection.execute(
        """
        INSERT INTO lane (id, business_id, channel, cap_minute, burst, tokens, cap_day)
        SELECT gen_random_uuid(), id, 'console', 100000, 10000, 10000, 1000000 FROM business
        ON CONFLICT DO NOTHING
        """
    )
    await connection.execute(
        """
        INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type,
                                         template_name, next_retry_at)
        SELECT gen_random_uuid(), c.business_id, c.id, 'console', 'booking.confirmed',
               'booking_confirmed', now() - g * interval '1 ms'
        FROM customer c CROSS JOIN generate_series(1, $1) g
        """,
        max(1, rows // TENANTS),
    )
    await connection.execute("ANALYZE")


async def _business(services: Services) -> Any:
    async with services.database.platform() as transaction:
        return await add_business(
            transaction,
            "bench",
            BusinessIn(name="Bench", timezone="Europe/Rome", default_locale="en", country="IT"),
            mode="live",
            now=services.clock.now(),
        )


def _event(business: str, mark: str) -> NotificationEvent:
    starts_at = datetime.now(UTC) + timedelta(days=1)
    return NotificationEvent(
        id=mark,
        source="/bench",
        type="booking.confirmed",
        time=datetime.now(UTC),
        business_ref=business,
        booking=Booking(ref=f"B-{mark}", starts_at=starts_at, service="Taglio"),
        customer=EventCustomer(id=f"cus-{mark}", first_name="Giulia", phone="+393331234567"),
        body_hash=mark.encode(),
    )
