"""Suspension: a channel that fails too often stops by itself, and finds its way back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import (
    InvalidRecipientError,
    OutcomeUnknownError,
    PermanentError,
    RetryableError,
    ThrottledError,
    ThrottleScope,
)
from core.limits import suspension
from core.notify import aftermath
from tasks.timetable import Timetable

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

    from limited_house import LimitedHouse

    from core.errors import SendError

WINDOW, MINIMUM = 50, 20


def refused() -> SendError:
    """Return what counts as a failure."""
    return PermanentError("refused", code="400")


async def trip(house: LimitedHouse, business: UUID) -> None:
    """Let twenty attempts fail."""
    await house.queue(business, 20, wake=False)
    house.answer(*[refused() for _ in range(20)])
    assert await house.send_due() == 20
    assert await house.stands(business) == ("suspended", "too-many-failures")


async def minute_passes(house: LimitedHouse) -> None:
    """Let the minute of a suspended lane be over."""
    await house.superuser.execute(
        "UPDATE lane_health SET probe_at = probe_at - interval '61 s'; "
        "UPDATE lane SET refilled_at = refilled_at - interval '61 s'"
    )


async def probe(house: LimitedHouse) -> int:
    """Do what the timetable does, then send what may go."""
    async with house.services.database.engine() as transaction:
        await suspension.probe(transaction)
    return await house.send_due()


async def alerts(house: LimitedHouse) -> list[str]:
    """Return the states of the alerts about suspended channels."""
    rows = await house.superuser.fetch(
        "SELECT state FROM alert WHERE kind = $1 ORDER BY id", aftermath.SUSPENDED
    )
    return [row["state"] for row in rows]


async def test_too_many_failures_stop_the_channel_and_keep_the_queue(
    house: LimitedHouse, business: UUID
) -> None:
    """The twentieth failure trips; what waits stays, what was claimed is put back, one alert."""
    await house.queue(business, 19, wake=False)
    house.answer(*[refused() for _ in range(19)])
    await house.send_due()
    assert await house.stands(business) == ("active", "")

    await house.queue(business, 5, wake=False)
    token, ids = await house.claim()
    house.answer(refused())
    assert await house.finish(token, await house.begin(token, ids[:1])) == 1
    assert await house.stands(business) == ("suspended", "too-many-failures")
    assert await house.begin(token, ids[1:]) == []
    assert await house.send_due() == 0
    assert await house.count("phase = 'waiting' AND status = 'queued'") == 4
    assert await alerts(house) == ["open"]
    assert house.sender.sent == []


async def test_another_business_goes_on(house: LimitedHouse, business: UUID) -> None:
    """The suspension of one business is no other's."""
    other = await house.add_business("salon-b")
    await trip(house, business)
    await house.queue(other, 3, wake=False)
    assert await house.send_due() == 3


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (InvalidRecipientError, {}),
        (OutcomeUnknownError, {}),
        (ThrottledError, {"scope": ThrottleScope.RECIPIENT}),
    ],
)
async def test_what_is_not_the_channels_fault_does_not_count(
    house: LimitedHouse, business: UUID, kind: Any, more: dict[str, Any], short: timedelta
) -> None:
    """Wrong recipients, lost answers and throttles never suspend."""
    told = {"retry_after": short} if more else {}
    await house.queue(business, 60, wake=False)
    house.answer(*[kind("no", **more, **told) for _ in range(60)])
    await house.send_due()
    assert (await house.stands(business))[0] == "active"


async def test_temporary_faults_count_too(house: LimitedHouse, business: UUID) -> None:
    """A provider that is down suspends the lane before its messages use up their tries."""
    await house.queue(business, 30, wake=False)
    house.answer(*[RetryableError("down") for _ in range(30)])
    await house.send_due()
    assert (await house.stands(business))[0] == "suspended"
    assert await house.count("phase = 'waiting' AND retry_count = 1") == 30


async def test_the_way_back_is_one_message_a_minute(house: LimitedHouse, business: UUID) -> None:
    """One try a minute: a failure keeps it closed, a success opens it and ends the alert."""
    await trip(house, business)
    await house.queue(business, 10, wake=False)
    assert await probe(house) == 0

    await minute_passes(house)
    house.answer(refused())
    assert await probe(house) == 1
    assert await house.stands(business) == ("suspended", "too-many-failures")
    assert await probe(house) == 0

    await minute_passes(house)
    house.answer(OutcomeUnknownError("silence"))
    assert await probe(house) == 1
    assert await house.stands(business) == ("active", "probing")
    assert await house.send_due() == 0

    await minute_passes(house)
    assert await house.send_due() == 1
    assert await house.stands(business) == ("active", "")
    assert await house.send_due() == 7
    assert await alerts(house) == ["resolved"]
    health = await house.superuser.fetchrow("SELECT * FROM lane_health")
    assert (health["trips"], health["suspended_at"], health["ring"]) == (1, None, "0" * 7)


async def test_the_timetable_opens_the_way_back(house: LimitedHouse, business: UUID) -> None:
    """A worker's timetable does it by itself, not before the minute is over."""
    await trip(house, business)
    await Timetable(house.services).step()
    assert await house.stands(business) == ("suspended", "too-many-failures")
    await minute_passes(house)
    await Timetable(house.services).step()
    assert await house.stands(business) == ("active", "probing")


async def test_a_second_trip_raises_a_second_alert(house: LimitedHouse, business: UUID) -> None:
    """One alert per transition: resolved, then raised anew."""
    await trip(house, business)
    await minute_passes(house)
    await house.queue(business, 1, wake=False)
    assert await probe(house) == 1
    await trip(house, business)
    assert await alerts(house) == ["resolved", "open"]


async def test_a_business_may_choose_its_own_threshold(
    house: LimitedHouse, business: UUID
) -> None:
    """Percent, window and minimum are the business's; 0 percent switches the suspension off."""
    await house.change(business, suspend_minimum=4, suspend_percent=100)
    await house.queue(business, 3, wake=False)
    house.answer(*[refused() for _ in range(3)])
    await house.send_due()
    assert (await house.stands(business))[0] == "active"
    await house.queue(business, 1, wake=False)
    house.answer(refused())
    await house.send_due()
    assert (await house.stands(business))[0] == "suspended"

    other = await house.add_business("salon-b")
    await house.change(other, suspend_percent=0)
    await house.queue(other, 30, wake=False)
    house.answer(*[refused() for _ in range(30)])
    await house.send_due()
    assert (await house.stands(other))[0] == "active"


async def many(house: LimitedHouse, count: int) -> list[UUID]:
    """Make so many businesses with a lane each."""
    rows = await house.superuser.fetch(
        """
        WITH made AS (INSERT INTO business (id, ref, name)
            SELECT gen_random_uuid(), 'walk-' || n, 'W' FROM generate_series(1, $1) n
            RETURNING id)
        INSERT INTO lane (business_id, channel) SELECT id, 'scripted' FROM made
        RETURNING business_id
        """,
        count,
    )
    return [row["business_id"] for row in rows]


def trips(ring: str) -> bool:
    """Say what the rule says: at least twenty attempts, at least half of them failures."""
    return len(ring) >= MINIMUM and 2 * ring.count("1") >= len(ring)


async def test_a_thousand_walks_below_the_threshold_never_trip(house: LimitedHouse) -> None:
    """As long as the share of failures stays below a half, nothing is suspended."""
    dice = random.Random(20261122)  # noqa: S311 - a walk, no secret
    rings = dict.fromkeys(await many(house, 1000), "")
    for _ in range(12):
        marks = {}
        for one in rings:
            told = ""
            for _ in range(dice.randint(1, 12)):
                failed = (rings[one] + "1")[-WINDOW:]
                below = 2 * failed.count("1") < len(failed)
                mark = "1" if below and dice.random() < 0.7 else "0"
                rings[one] = (rings[one] + mark)[-WINDOW:]
                told += mark
            marks[one, "scripted"] = told
        async with house.services.database.engine() as transaction:
            assert await suspension.judge(transaction, marks) == []
    assert max(ring.count("1") for ring in rings.values()) >= 24
    assert await house.superuser.fetchval("SELECT count(*) FROM lane WHERE state='active'") == 1000


async def test_walks_across_the_threshold_trip_exactly_there(house: LimitedHouse) -> None:
    """Each lane is suspended by the batch after which the rule holds, and by no other."""
    dice = random.Random(7)  # noqa: S311 - a walk, no secret
    rings = dict.fromkeys(await many(house, 200), "")
    tripped = 0
    for _ in range(10):
        marks = {
            (one, "scripted"): "".join(dice.choices("01", (6, 4), k=dice.randint(1, 9)))
            for one in rings
        }
        due = set()
        for (one, _), told in marks.items():
            rings[one] = (rings[one] + told)[-WINDOW:]
            if trips(rings[one]):
                due.add(one)
        async with house.services.database.engine() as transaction:
            verdicts = await suspension.judge(transaction, marks)
        assert {one.business_id for one in verdicts} == due
        assert {one.became for one in verdicts} <= {suspension.SUSPENDED}
        tripped += len(due)
        for one in due:
            del rings[one]
    assert tripped > 20
    assert rings
