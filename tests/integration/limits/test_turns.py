"""Turns of lanes: nobody waits behind a neighbour's backlog, and a turn costs little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from scripted_house import CHANNEL

from core.ids import new_uuid
from core.limits import lanes

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse

    from core.channels.host import Transaction

LANES = 16
QUANTUM = 4
WINDOW = timedelta(seconds=62)
OUTBOX = "notification_outbox"


async def counted(transaction: Transaction, table: str) -> tuple[int, int]:
    """Return how many rows of a table this connection has written and read lately."""
    row = await transaction.fetchrow(
        "SELECT n_tup_upd AS written, seq_tup_read + coalesce(idx_tup_fetch, 0) AS read "
        "FROM pg_stat_xact_user_tables WHERE relname = $1",
        table,
    )
    return row["written"], row["read"]


async def claim_once(house: LimitedHouse) -> list[lanes.Claimed]:
    """Claim as a worker does, and commit."""
    async with house.services.database.engine() as transaction:
        return await lanes.claim(
            transaction, lanes=LANES, quantum=QUANTUM, token=new_uuid(), channels=[CHANNEL]
        )


async def test_small_businesses_do_not_wait_behind_a_whale(house: LimitedHouse) -> None:
    """600 older messages of one business, one of each of 40 others: four claims serve them all."""
    whale = await house.add_business("whale")
    await house.queue(whale, 600, wake=False)
    await house.superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() - interval '1 hour'"
    )
    small = {await house.add_business(f"small-{n}") for n in range(40)}
    for business in small:
        await house.queue(business, 1, wake=False)
    await house.wake()
    served: set[UUID] = set()
    of_the_whale = 0
    for _ in range(4):
        claimed = await claim_once(house)
        served |= {one.business_id for one in claimed} - {whale}
        of_the_whale += sum(one.business_id == whale for one in claimed)
    assert served == small
    assert 0 < of_the_whale <= 4 * QUANTUM


async def test_a_claim_writes_each_lane_once(house: LimitedHouse) -> None:
    """Payment and next turn are one write; the messages that were taken are one each."""
    for n in range(5):
        business = await house.add_business(f"salon-{n}")
        await house.queue(business, 6, wake=False)
    await house.wake()
    async with house.services.database.engine() as transaction:
        of_lanes, _ = await counted(transaction, "lane")
        of_messages, _ = await counted(transaction, OUTBOX)
        claimed = await lanes.claim(
            transaction, lanes=LANES, quantum=QUANTUM, token=new_uuid(), channels=[CHANNEL]
        )
        assert len(claimed) == 5 * QUANTUM
        assert (await counted(transaction, "lane"))[0] - of_lanes == 5
        assert (await counted(transaction, OUTBOX))[0] - of_messages == len(claimed)


async def test_a_wake_does_not_walk_the_backlog(house: LimitedHouse, business: UUID) -> None:
    """What is due first is looked up, however many messages wait or were sent."""
    ids = await house.queue(business, 1_000, wake=False)
    await house.superuser.execute(
        "UPDATE notification_outbox SET phase = 'final', status = 'sent', next_retry_at = NULL "
        "WHERE id = ANY ($1)",
        ids[:500],
    )
    await house.superuser.execute("VACUUM ANALYZE notification_outbox")
    async with house.services.database.engine() as transaction:
        _, before = await counted(transaction, OUTBOX)
        assert await lanes.wake(transaction, [(business, CHANNEL)]) == 1
        assert (await counted(transaction, OUTBOX))[1] - before <= 10
    await house.superuser.execute("UPDATE lane SET next_at = 'infinity'")
    async with house.services.database.engine() as transaction:
        _, before = await counted(transaction, OUTBOX)
        assert await lanes.sweep(transaction) == 1
        assert (await counted(transaction, OUTBOX))[1] - before <= 10


async def test_the_ring_counts_what_is_inside_the_window(superuser: Any) -> None:
    """Room and next turn of small caps equal a count of every single time."""
    random = Random(7)  # noqa: S311 - the same cases each time
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for _ in range(150):
        cap = random.randint(1, 32)
        recent = sorted(
            now - timedelta(seconds=random.choice((0, 61.9, 62, 62.1, random.uniform(-5, 130))))
            for _ in range(random.randint(0, 32))
        )
        inside = [at for at in recent if at > now - WINDOW]
        room = max(0, cap - len(inside))
        found = await superuser.fetchrow(
            "SELECT lane_room($1, 1, $2, 0, $3, '', NULL, $3) AS room, "
            "lane_room_at($1, 1, $2, 0, $3, '', NULL, $3) AS at",
            cap,
            recent,
            now,
        )
        assert found["room"] == room
        assert found["at"] == (now if room else recent[-cap] + WINDOW)


async def test_a_clock_set_back_leaves_the_ring_in_order(
    house: LimitedHouse, business: UUID
) -> None:
    """Times of the future stay the newest, so that the count stays right, and none slips by."""
    await house.superuser.execute(
        "UPDATE lane SET cap_minute = 5, burst = 1, "
        "recent = ARRAY[now() - interval '2 min', now() + interval '30 s']"
    )
    await house.queue(business, 10, wake=False)
    await house.wake()
    assert len(await claim_once(house)) == 4
    recent = (await house.lane(business))["recent"]
    assert recent == sorted(recent)
    assert len(recent) == 5
    await house.wake()
    assert await claim_once(house) == []
