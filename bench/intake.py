"""Intake: events over REST one by one, and sets of a hundred through the core."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench import town
from bench.calls import post_all
from bench.figures import waits
from core.access.keys import create_key
from core.access.rates import MOST_PER_SECOND, Rate
from core.businesses.store import get_business
from core.embedded_machine import free_port
from core.notify.events import Booking, EventCustomer, NotificationEvent
from core.notify.intake import take_in

if TYPE_CHECKING:
    from bench.ground import Ground
    from bench.town import Person, Shop

SET: Final = 100
_TOGETHER: Final = 32
_WARM: Final = 50


async def measure(ground: Ground, singles: int, sets: int) -> None:
    """Measure both; every answer comes after the commit."""
    async with ground.superuser() as run:
        await town.clear(run)
        [shop] = await town.open_shops(run, ground.vault(), 1)
        people = await town.bring_people(run, ground.vault(), [shop], max(singles, SET))
        await run.execute("ANALYZE")
        await _singles(ground, shop, people[:singles])
        print(f"    {await _kept(run, 'one')} of {singles + _WARM} events kept")
        await _sets(ground, shop, people[:SET], sets)
        print(f"    {await _kept(run, 'set')} of {sets * SET} events kept")


async def _singles(ground: Ground, shop: Shop, people: list[Person]) -> None:
    async with ground.services() as services, services.database.engine() as transaction:
        key = await create_key(
            transaction,
            services.vault,
            name="bench",
            scopes=["*"],
            business_id=shop.id,
            rate=Rate(MOST_PER_SECOND, MOST_PER_SECOND),
        )
    headers = {"authorization": f"Bearer {key.plaintext.reveal()}"}
    port = free_port()
    async with ground.process(
        "web-ready", "-m", "core.cli", "serve", PATCHBAY_PORT=str(port)
    ) as web:
        first = [(_body(people[0], f"one-warm-{n}"), headers) for n in range(_WARM)]
        await post_all(port, "/v1/events", first, together=4)
        meter = ground.meter(web)
        calls = [(_body(person, f"one-{n}"), headers) for n, person in enumerate(people)]
        meter.start()
        took = await post_all(port, "/v1/events", calls, together=_TOGETHER)
        meter.stop()
        print(meter.line(f"one event per call, {_TOGETHER} at once", len(calls), what="events"))
        print(f"    {waits(took)}")


async def _sets(ground: Ground, shop: Shop, people: list[Person], count: int) -> None:
    async with ground.services() as services:
        async with services.database.engine() as transaction:
            business = await get_business(transaction, shop.id)
        meter, took = ground.meter(), []
        meter.start()
        for turn in range(count):
            events = [_event(one, f"set-{turn}-{n}") for n, one in enumerate(people)]
            began = time.perf_counter()
            await take_in(services, business, events)
            took.append((time.perf_counter() - began) * 1000)
        meter.stop()
    print(meter.line(f"{SET} events per set, one set at a time", count * SET, what="events"))
    print(f"    a set: {waits(took)}")


async def _kept(run: Any, mark: str) -> int:
    kept: int = await run.fetchval(
        "SELECT count(*) FROM event WHERE external_id LIKE $1", f"{mark}-%"
    )
    return kept


def _body(person: Person, mark: str) -> bytes:
    starts_at = datetime.now(UTC) + timedelta(days=1)
    return msgspec.json.encode(
        {
            "id": mark,
            "source": "/bench",
            "type": "booking.confirmed",
            "data": {
                "booking": {"ref": f"B-{mark}", "starts_at": starts_at, "service": "Taglio"},
                "customer": {"id": person.ref, "first_name": "Giulia", "phone": person.phone},
            },
        }
    )


def _event(person: Person, mark: str) -> NotificationEvent:
    now = datetime.now(UTC)
    return NotificationEvent(
        id=mark,
        source="/bench",
        type="booking.confirmed",
        time=now,
        business_ref="shop-1",
        booking=Booking(ref=f"B-{mark}", starts_at=now + timedelta(days=1), service="Taglio"),
        customer=EventCustomer(id=person.ref, first_name="Giulia", phone=person.phone),
        body_hash=mark.encode(),
    )
