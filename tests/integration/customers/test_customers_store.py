"""People in sets: sealed, found by hash, merged, and left alone after an erasure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from core.customers.store import CustomerIn, find_customers, put_customers

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from core.customers.store import CustomerOut
    from core.notify.services import Services

PHONE = "+393331234567"


async def put(services: Services, business_id: UUID, *told: CustomerIn) -> list[CustomerOut]:
    """Write customers in a transaction of the business."""
    async with services.database.business(business_id) as transaction:
        return await put_customers(transaction, services.vault, business_id, told)


async def test_a_set_is_written_and_comes_back_in_order(
    services: Services, add_business: Callable[..., Any]
) -> None:
    """Each with its primary addresses; a second time nothing is made twice."""
    business = await add_business()
    told = [
        CustomerIn(ref="b", first_name="Bea", phone="+393331234568"),
        CustomerIn(ref="a", first_name="Ada", phone=PHONE, email="ada@example.com", locale="it"),
    ]
    first = await put(services, business.id, *told)
    assert [one.ref for one in first] == ["b", "a"]
    assert set(first[1].addresses) == {"phone", "email"}
    assert first[1].name == {"first_name": "Ada"}
    assert first[1].address_id("phone") is not None
    assert first[0].address_id("email") is None
    assert await put(services, business.id, *told) == first


async def test_nothing_readable_is_stored(
    services: Services, add_business: Callable[..., Any], superuser: Any
) -> None:
    """Names and addresses are sealed; the hash of one business says nothing in another."""
    one, two = await add_business("one"), await add_business("two")
    for business in (one, two):
        told = CustomerIn(ref="c", first_name="Giulia", phone=PHONE)
        await put(services, business.id, told)
    rows = await superuser.fetch(
        "SELECT c::text || a::text AS whole FROM customer c "
        "JOIN customer_address a ON a.customer_id = c.id"
    )
    stored = " ".join(row["whole"] for row in rows)
    for plain in ("Giulia", PHONE, b"Giulia".hex(), PHONE.encode().hex()):
        assert plain not in stored
    hashes = await superuser.fetch("SELECT DISTINCT address_hash FROM customer_address")
    assert len(hashes) == 2


async def test_what_is_left_out_stays(
    services: Services, add_business: Callable[..., Any]
) -> None:
    """A later event with less does not take away what is known; a new phone becomes primary."""
    business = await add_business()
    full = CustomerIn(ref="c", first_name="Giulia", last_name="Rossi", phone=PHONE, locale="it")
    [before] = await put(services, business.id, full)
    [after] = await put(services, business.id, CustomerIn(ref="c", first_name="Giulietta"))
    assert after.name == {"first_name": "Giulietta", "last_name": "Rossi"}
    assert (after.locale, after.addresses) == ("it", before.addresses)
    [moved] = await put(services, business.id, CustomerIn(ref="c", phone="+393331234568"))
    assert moved.address_id("phone") != before.address_id("phone")
    [back] = await put(services, business.id, CustomerIn(ref="c", phone=PHONE))
    assert back.address_id("phone") == before.address_id("phone")


async def test_one_customer_told_twice_in_a_set(
    services: Services, add_business: Callable[..., Any]
) -> None:
    """The later words win, and there is one row."""
    business = await add_business()
    rows = await put(
        services,
        business.id,
        CustomerIn(ref="c", first_name="Old", phone=PHONE),
        CustomerIn(ref="c", first_name="New"),
    )
    assert rows[0] == rows[1]
    assert rows[0].name == {"first_name": "New"}
    assert set(rows[0].addresses) == {"phone"}


async def test_an_erased_customer_does_not_come_back(
    services: Services, add_business: Callable[..., Any], superuser: Any
) -> None:
    """A late event writes neither name nor address."""
    business = await add_business()
    await put(services, business.id, CustomerIn(ref="c"))
    await superuser.execute("UPDATE customer SET erased_at = now()")
    [late] = await put(services, business.id, CustomerIn(ref="c", first_name="X", phone=PHONE))
    assert late.erased_at is not None
    assert (late.name, late.addresses) == ({}, {})


async def test_sets_in_opposite_order_do_not_lock_each_other(
    services: Services, add_business: Callable[..., Any]
) -> None:
    """Twenty writers of the same people all end, with one row per person."""
    business = await add_business()
    people = [CustomerIn(ref=f"c{n}", phone=f"+39333123456{n}") for n in range(8)]
    await asyncio.gather(
        *(
            put(services, business.id, *(people if turn % 2 else reversed(people)))
            for turn in range(20)
        )
    )
    async with services.database.business(business.id) as transaction:
        found = await find_customers(
            transaction, services.vault, business.id, [one.ref for one in people]
        )
        count = await transaction.fetchval("SELECT count(*) FROM customer_address")
    assert len(found) == 8
    assert count == 8
