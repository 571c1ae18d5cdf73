"""Caps that are changed while lanes run: at work at once, and never more than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fixture_scripted import ScriptedPlugin
from scripted_house import CHANNEL

from core.errors import RetryableError
from core.notify.limiting import ChangedMeanwhileError, Limits, change_limits, read_limits

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse


async def change(
    house: LimitedHouse, business: UUID, expected: str | None = None, **limits: int
) -> None:
    """Change the limits as the interface does."""
    wanted = Limits(**{"per_recipient_day": 1000, **limits})  # type: ignore[arg-type]
    await change_limits(
        house.services.database, business, wanted, expected=expected, actor="key:k"
    )


async def test_a_higher_cap_lets_the_queue_move_at_once(
    house: LimitedHouse, business: UUID
) -> None:
    """Messages that wait for the old cap go out with the new one, without a wake."""
    await change(house, business, per_minute=3)
    await house.queue(business, 8, wake=False)
    assert await house.send_due() == 3
    assert await house.send_due() == 0
    await change(house, business, per_minute=7)
    assert await house.send_due() == 4
    assert await house.send_due() == 0


async def test_from_the_bucket_to_the_ring_nothing_slips_through(
    house: LimitedHouse, business: UUID
) -> None:
    """A lane that sent just now waits its window out; one that was idle has the whole new cap."""
    await change(house, business, per_minute=60)
    await house.superuser.execute("UPDATE lane SET tokens = burst, refilled_at = now()")
    await house.queue(business, 40, wake=False)
    assert await house.send_due() == 6
    await change(house, business, per_minute=5)
    assert await house.send_due() == 0
    row = await house.lane(business)
    assert (row["cap_minute"], len(row["recent"])) == (5, 5)

    await change(house, business, per_minute=60)
    await house.superuser.execute("UPDATE lane SET refilled_at = now() - interval '63 s'")
    await change(house, business, per_minute=5)
    assert await house.send_due() == 5


async def test_from_the_ring_to_the_bucket_what_was_sent_counts(
    house: LimitedHouse, business: UUID
) -> None:
    """Ten of the last minute are taken out of the new bucket before it gives anything."""
    await change(house, business, per_minute=10)
    await house.queue(business, 40, wake=False)
    assert await house.send_due() == 10
    await change(house, business, per_minute=60)
    assert (await house.lane(business))["tokens"] == pytest.approx(6 - 10)
    assert await house.send_due() == 0


async def test_a_higher_day_cap_ends_the_wait_for_tomorrow(
    house: LimitedHouse, business: UUID
) -> None:
    """A lane that had sent its day's messages goes on when the day gets longer."""
    await change(house, business, per_minute=1000, per_day=2)
    await house.superuser.execute("UPDATE lane SET tokens = burst")
    await house.queue(business, 5, wake=False)
    assert await house.send_due() == 2
    await change(house, business, per_minute=1000, per_day=4)
    assert await house.send_due() == 2


async def test_limits_are_audited_and_guarded_by_their_tag(
    house: LimitedHouse, business: UUID
) -> None:
    """A stale tag changes nothing; a true one does, and the trail holds before and after."""
    async with house.services.database.business(business) as transaction:
        seen = await read_limits(transaction, business)
    await change(house, business, expected=seen.etag, per_minute=7)
    with pytest.raises(ChangedMeanwhileError):
        await change(house, business, expected=seen.etag, per_minute=9)
    assert (await house.lane(business))["cap_minute"] == 7
    lines = await house.superuser.fetch("SELECT before, after FROM audit_log")
    assert len(lines) == 1
    assert '"per_minute": 7' in lines[0]["after"]


async def test_a_business_has_its_own_retries(house: LimitedHouse, business: UUID) -> None:
    """Its base and its number of retries hold from the next failure on."""
    await house.change(business, retry_base_seconds=600, retry_jitter_percent=0, retries=1)
    await house.queue(business, 1, wake=False)
    house.answer(RetryableError("down"), RetryableError("down"))
    await house.send_due()
    wait = await house.superuser.fetchval(
        "SELECT extract(epoch FROM next_retry_at - updated_at) FROM notification_outbox"
    )
    assert float(wait) == 600
    await house.superuser.execute("UPDATE notification_outbox SET next_retry_at = now()")
    await house.send_due()
    assert await house.count("status = 'failed' AND reason = 'retries-exhausted'") == 1


async def test_people_hear_of_a_code_that_nobody_knows(
    house: LimitedHouse, business: UUID
) -> None:
    """Exam E03: a code outside the channel's table is tried again, and told the platform once."""

    class Wordy(ScriptedPlugin):
        """Knows one code."""

        def error_words(self) -> dict[str, tuple[str, str]]:
            """Say what it knows."""
            return {"known": ("It is known.", "Nothing.")}

    house.services.registry.plugins[CHANNEL] = Wordy()
    await house.queue(business, 3, wake=False)
    house.answer(*[RetryableError("?", code=code) for code in ("known", "new", "new")])
    await house.send_due()
    rows = await house.superuser.fetch("SELECT business_id, kind, subject FROM alert")
    assert [tuple(row) for row in rows] == [(None, "unknown-provider-code", "scripted:new")]
