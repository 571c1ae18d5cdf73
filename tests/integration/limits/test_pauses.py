"""The kill switch: one business, one channel, everything; and what comes back afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted_house import CHANNEL

from core.limits import lanes, pauses, suspension
from core.limits.pauses import Reach
from core.limits.tables import LaneState
from core.notify.pausing import pause_sending, resume_sending

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse

    from core.notify.pausing import Standing

EVERYTHING = Reach()


async def pause(house: LimitedHouse, reach: Reach) -> Standing:
    """Pause as the interface does."""
    return await pause_sending(house.services.database, reach, reason="test", actor="key:k")


async def resume(house: LimitedHouse, reach: Reach) -> Standing:
    """Resume as the interface does."""
    return await resume_sending(house.services.database, reach, actor="key:k")


@pytest.mark.parametrize("reach", ["business", "channel", "both", "everything"])
async def test_a_pause_stops_the_next_begin_and_keeps_the_queue(
    house: LimitedHouse, business: UUID, reach: str
) -> None:
    """What was claimed before the pause is not begun after it; a resume sends it."""
    one = {
        "business": Reach(business),
        "channel": Reach(None, CHANNEL),
        "both": Reach(business, CHANNEL),
        "everything": EVERYTHING,
    }[reach]
    await house.queue(business, 4, wake=False)
    token, ids = await house.claim()
    assert (await pause(house, one)).changed
    assert await house.stands(business) == ("killed", "paused")
    assert await house.begin(token, ids) == []
    assert await house.send_due() == 0
    assert await house.count("phase = 'waiting' AND status = 'queued'") == 4

    standing = await resume(house, one)
    assert standing.changed
    assert standing.running == [(business, CHANNEL)]
    assert await house.send_due() == 4
    lines = await house.superuser.fetch("SELECT action, actor FROM audit_log ORDER BY id")
    assert [tuple(line) for line in lines] == [
        ("sending.pause", "key:k"),
        ("sending.resume", "key:k"),
    ]


async def test_a_pause_of_one_business_is_no_others(house: LimitedHouse, business: UUID) -> None:
    """The neighbour goes on sending."""
    other = await house.add_business("salon-b")
    await pause(house, Reach(business))
    await house.queue(business, 2, wake=False)
    await house.queue(other, 2, wake=False)
    assert await house.send_due() == 2
    assert await house.count(f"business_id = '{business}' AND phase = 'waiting'") == 2


async def test_pauses_do_not_lift_each_other(house: LimitedHouse, business: UUID) -> None:
    """Only when the last pause that reaches it has ended does a lane run again."""
    for one in (EVERYTHING, Reach(business), Reach(business, CHANNEL)):
        await pause(house, one)
    for one in (Reach(business), EVERYTHING):
        assert (await resume(house, one)).running == []
        assert await house.stands(business) == ("killed", "paused")
    assert (await resume(house, Reach(business, CHANNEL))).running == [(business, CHANNEL)]


async def test_repeating_is_harmless(house: LimitedHouse, business: UUID) -> None:
    """A second pause and a second resume change nothing and leave no line."""
    assert (await pause(house, Reach(business))).changed
    assert not (await pause(house, Reach(business))).changed
    assert (await resume(house, Reach(business))).changed
    assert not (await resume(house, Reach(business))).changed
    assert await house.superuser.fetchval("SELECT count(*) FROM audit_log") == 2


async def test_whoever_connects_during_a_pause_waits_too(
    house: LimitedHouse, business: UUID
) -> None:
    """Neither a new lane nor a connection that comes back steps over a pause."""
    await pause(house, EVERYTHING)
    await house.superuser.execute("DELETE FROM lane")
    async with house.services.database.engine() as transaction:
        await lanes.ensure(transaction, business, CHANNEL, LaneState.ACTIVE)
    assert await house.stands(business) == ("killed", "paused")
    async with house.services.database.engine() as transaction:
        await lanes.ensure(transaction, business, CHANNEL, LaneState.ACTIVE)
    assert await house.stands(business) == ("killed", "paused")


async def test_a_resume_asks_the_connection(house: LimitedHouse, business: UUID) -> None:
    """A channel that was disconnected meanwhile does not come back with the end of a pause."""
    await pause(house, Reach(business))
    await house.superuser.execute("UPDATE channel_connection SET state='error', reason='gone'")
    assert (await resume(house, Reach(business))).running == []
    assert await house.stands(business) == ("disconnected", "gone")


async def test_a_suspension_outlives_the_platforms_pause(
    house: LimitedHouse, business: UUID
) -> None:
    """Only a resume of the business itself lifts the suspension, and with it the alert."""
    async with house.services.database.engine() as transaction:
        await suspension.judge(transaction, {(business, CHANNEL): "1" * 20})
    await pause(house, EVERYTHING)
    assert (await resume(house, EVERYTHING)).running == []
    assert await house.stands(business) == ("suspended", "too-many-failures")
    async with house.services.database.engine() as transaction:
        await lanes.ensure(transaction, business, CHANNEL, LaneState.ACTIVE)
    assert (await house.stands(business))[0] == "suspended"
    assert (await resume(house, Reach(business))).running == [(business, CHANNEL)]
    assert await house.stands(business) == ("active", "")


async def test_a_business_sees_its_own_pauses_and_the_platforms(
    house: LimitedHouse, business: UUID
) -> None:
    """Never those of a neighbour."""
    other = await house.add_business("salon-b")
    for one in (Reach(other), EVERYTHING, Reach(business)):
        await pause(house, one)
    async with house.services.database.engine() as transaction:
        seen = [one.reach for one in await pauses.in_force(transaction, business)]
    assert seen == [EVERYTHING, Reach(business)]
