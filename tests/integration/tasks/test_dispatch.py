"""The loop that sends, on a real PostgreSQL, with a channel that follows a script."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from core.testing.channels import Step

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


async def test_sends_are_bounded_overall_and_per_business(house: House, business: UUID) -> None:
    """A worker never has more on its way than its slots, nor one business more than its share."""
    other, third = await house.add_business("salon-b"), await house.add_business("salon-c")
    house.channel.latency = 0.03
    for one in (business, other, third):
        await house.queue(one, 30)
    async with house.dispatching(slots=8, per_business=3):
        await house.until("status = 'sent'", 90)
    assert house.channel.most_at_once <= 8
    assert 2 <= house.channel.most_per_business <= 3


async def test_no_more_is_claimed_than_there_are_slots(house: House, business: UUID) -> None:
    """With every slot taken by sends that hang, nothing more is claimed."""
    house.channel.then(*[Step.HANG] * 50)
    await house.queue(business, 50)
    async with house.dispatching(slots=6, per_business=6):
        await house.until("phase = 'in_flight'", 6)
        await asyncio.sleep(0.3)
        assert await house.count("phase IN ('leased', 'in_flight')") == 6
        house.channel.script.clear()
        house.channel.released.set()
        await house.until("status = 'sent'", 50)


@pytest.mark.alone
async def test_a_business_that_hangs_does_not_stop_the_others(
    house: House, business: UUID
) -> None:
    """While one business's provider hangs, another business is served at once."""
    house.channel.then(*[Step.HANG] * 4)
    await house.queue(business, 100)
    async with house.dispatching(slots=16, per_business=4):
        await house.until("phase = 'in_flight'", 4)
        other = await house.add_business("salon-b")
        began = time.monotonic()
        await house.queue(other, 5)
        await house.until(f"status = 'sent' AND business_id = '{other}'", 5)
        assert time.monotonic() - began < 3
        house.channel.released.set()


async def test_nothing_waits_behind_a_provider_that_hangs(house: House, business: UUID) -> None:
    """Exam E13: a slow lane holds few slots, and nothing of it waits in those of others."""
    house.channel.then(*[Step.HANG] * 4)
    await house.queue(business, 60)
    async with house.dispatching(slots=16, per_business=4, slow_seconds=0.2):
        await house.until("phase = 'in_flight'", 4)
        await house.until("phase IN ('leased', 'in_flight')", 4)
        other = await house.add_business("salon-b")
        await house.queue(other, 60)
        await house.until(f"status = 'sent' AND business_id = '{other}'", 60)
        assert await house.count("phase = 'in_flight'") == 4
        house.channel.released.set()
        await house.until("status = 'sent'", 120)
    assert len(house.channel.sent) == 120


async def test_what_must_wait_is_sent_when_its_time_comes(house: House, business: UUID) -> None:
    """A throttled message goes out after its wait, though nobody rings, and is not counted."""
    house.channel.then(Step.THROTTLE)
    await house.queue(business)
    async with house.dispatching():
        await house.until("status = 'sent' AND retry_count = 0", 1)
    assert len(house.channel.sent) == 2
    outcomes = await house.superuser.fetch("SELECT outcome FROM send_attempt ORDER BY number")
    assert [row["outcome"] for row in outcomes] == ["wait", "accepted"]


async def test_a_retry_waits_in_the_queue(house: House, business: UUID) -> None:
    """A temporary failure is counted and due again later; the loop does not hammer."""
    house.channel.then(Step.RETRY)
    await house.queue(business)
    async with house.dispatching():
        await house.until("phase = 'waiting' AND retry_count = 1", 1)
        await asyncio.sleep(0.3)
    assert len(house.channel.sent) == 1
    assert await house.count("next_retry_at > now() + interval '20 s' AND error_code = '503'") == 1


async def test_a_lost_answer_is_never_repeated(house: House, business: UUID) -> None:
    """A send whose answer was lost, or whose channel broke, stays unconfirmed."""
    house.channel.then(Step.LOSE_ANSWER, Step.BREAK)
    await house.queue(business, 2)
    async with house.dispatching():
        await house.until("phase = 'unconfirmed' AND status = 'queued'", 2)
        await asyncio.sleep(1.2)
    assert len(house.channel.sent) == 2


async def test_stopping_finishes_what_is_in_flight_and_gives_the_rest_back(
    house: House, business: UUID
) -> None:
    """After a stop no lease is left: what was sent is recorded, what was not waits."""
    house.channel.then(Step.HANG)
    await house.queue(business, 5)
    async with house.dispatching(per_business=1):
        await house.until("phase = 'in_flight'", 1)
        await house.until("phase = 'leased'", 4)
        asyncio.get_running_loop().call_later(0.3, house.channel.released.set)
    assert await house.count("status = 'sent' AND phase = 'final'") == 1
    assert await house.count("phase = 'waiting' AND lease_token IS NULL") == 4
    assert len(house.channel.sent) == 1


async def test_no_transaction_is_open_while_a_provider_is_called(
    house: House, business: UUID
) -> None:
    """While sends hang, no connection of the worker is inside a transaction."""
    open_now = (
        "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    )
    house.channel.then(*[Step.HANG] * 8)
    await house.queue(business, 8)
    async with house.dispatching():
        await house.until("phase = 'in_flight'", 8)
        always_open = set(await house.superuser.fetch(open_now))
        for _ in range(20):
            await asyncio.sleep(0.05)
            always_open &= set(await house.superuser.fetch(open_now))
        assert not always_open
        house.channel.released.set()


async def test_cut_connections_cost_no_message(house: House, business: UUID) -> None:
    """When the database cuts every connection in the middle, the worker goes on by itself."""
    house.channel.latency = 0.02
    await house.queue(business, 120)
    async with house.dispatching(slots=8, per_business=8):
        await house.until_at_least("status = 'sent'", 10)
        await house.superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await house.until("phase IN ('waiting', 'leased')", 0)
    # A commit that was cut may have begun a batch: nobody knows, so nobody sends it.
    begun_unknown = await house.count("phase = 'in_flight'")
    assert begun_unknown <= 8
    assert await house.count("status = 'sent'") == 120 - begun_unknown
    assert len(house.channel.sent) == len({one.callback_id for one in house.channel.sent})
