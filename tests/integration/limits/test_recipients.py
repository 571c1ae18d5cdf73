"""Throttles reach as far as the provider means them, and one recipient has a limit."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from core.errors import ThrottledError, ThrottleScope

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse


def throttle(scope: ThrottleScope, seconds: float) -> ThrottledError:
    """Return the provider's "slow down"."""
    return ThrottledError("slower", scope=scope, retry_after=timedelta(seconds=seconds))


async def test_a_recipients_throttle_holds_up_this_recipient_alone(
    house: LimitedHouse, business: UUID
) -> None:
    """After it that recipient gets one message per six seconds; another one goes at once."""
    await house.queue(business, 1, wake=False)
    house.answer(throttle(ThrottleScope.RECIPIENT, 6))
    assert await house.send_due() == 1
    assert (await house.lane(business))["rest_until"] is None

    same = await house.queue(business, 3, wake=False)
    other = await house.queue(business, 2, wake=False)
    await house.second_recipient(business, other)
    assert await house.send_due() == 2
    rows = await house.superuser.fetch(
        "SELECT reason, next_retry_at - clock_timestamp() AS wait FROM notification_outbox "
        "WHERE id = ANY ($1) ORDER BY next_retry_at",
        same,
    )
    assert {row["reason"] for row in rows} == {"recipient-paced"}
    waits = [row["wait"].total_seconds() for row in rows]
    assert 5 < waits[0] <= 6
    assert [round(late - early) for early, late in pairwise(waits)] == [6, 6]


async def test_a_paced_recipient_gets_one_at_a_time(house: LimitedHouse, business: UUID) -> None:
    """Though four are due together, one begins and the next only after the spacing."""
    await house.queue(business, 1, wake=False)
    house.answer(throttle(ThrottleScope.RECIPIENT, 6))
    await house.send_due()
    await house.queue(business, 3, wake=False)
    await house.superuser.execute(
        "UPDATE recipient_pace SET next_at = now() - interval '1 s'; "
        "UPDATE notification_outbox SET next_retry_at = now() WHERE phase = 'waiting'"
    )
    assert await house.send_due() == 1
    await house.superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() WHERE phase = 'waiting'"
    )
    assert await house.send_due() == 0
    assert await house.count("reason = 'recipient-paced' AND phase = 'waiting'") == 3


async def test_a_looping_caller_reaches_a_recipient_twenty_times_a_day(
    house: LimitedHouse, business: UUID
) -> None:
    """The twenty-first message of a day is canceled with its reason; a new day begins anew."""
    await house.superuser.execute("UPDATE business SET settings = '{}'")
    await house.queue(business, 25, wake=False)
    assert await house.send_due() == 20
    assert await house.count("status = 'canceled' AND reason = 'recipient-limit'") == 5
    others = await house.queue(business, 1, wake=False)
    await house.second_recipient(business, others)
    assert await house.send_due() == 1
    await house.superuser.execute("UPDATE recipient_pace SET day = day - 1")
    await house.queue(business, 1, wake=False)
    assert await house.send_due() == 1
    counted = await house.superuser.fetch("SELECT count FROM recipient_pace ORDER BY count")
    assert [row["count"] for row in counted] == [1, 1]


async def test_a_repeat_is_not_counted_twice(house: LimitedHouse, business: UUID) -> None:
    """Only first tries count for the recipient's day."""
    await house.change(business, per_recipient_day=1)
    await house.queue(business, 1, wake=False)
    house.answer(throttle(ThrottleScope.CONNECTION, 0.05))
    assert await house.send_due() == 1
    await house.superuser.execute("UPDATE lane SET rest_until = NULL")
    await house.superuser.execute("UPDATE notification_outbox SET next_retry_at = now()")
    assert await house.send_due() == 1
    assert await house.count("status = 'sent'") == 1


@pytest.mark.parametrize("scope", [ThrottleScope.CONNECTION, ThrottleScope.ACCOUNT])
async def test_a_lane_rests_and_nothing_wakes_it_early(
    house: LimitedHouse, business: UUID, scope: ThrottleScope
) -> None:
    """After Retry-After: 30 the whole lane rests, new messages and wakes notwithstanding."""
    other = await house.add_business("salon-b")
    await house.queue(business, 4, wake=False)
    token, ids = await house.claim()
    house.answer(throttle(scope, 30))
    await house.finish(token, await house.begin(token, ids[:1]))
    assert await house.begin(token, ids[1:]) == []
    await house.queue(business, 2, wake=False)
    assert await house.send_due() == 0
    row = await house.superuser.fetchrow(
        "SELECT next_at - clock_timestamp() AS sleeps, rest_until - clock_timestamp() AS rests "
        "FROM lane WHERE business_id = $1",
        business,
    )
    assert timedelta(seconds=20) < row["rests"] <= timedelta(seconds=30)
    assert timedelta(seconds=20) < row["sleeps"] <= timedelta(seconds=31)
    await house.queue(other, 2, wake=False)
    assert await house.send_due() == 2

    await house.superuser.execute("UPDATE lane SET rest_until = now() - interval '1 s'")
    assert await house.send_due() == 5


async def test_the_applications_throttle_reaches_every_business(
    house: LimitedHouse, business: UUID
) -> None:
    """All lanes of the channel rest, and come back together."""
    other = await house.add_business("salon-b")
    await house.queue(business, 1, wake=False)
    house.answer(throttle(ThrottleScope.APPLICATION, 60))
    await house.send_due()
    await house.queue(other, 3, wake=False)
    assert await house.send_due() == 0
    rests = await house.superuser.fetch("SELECT rest_until > now() + interval '58 s' FROM lane")
    assert [row[0] for row in rests] == [True, True]
