"""What the provider calls failed after it took it over counts toward the suspension."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scripted_house import CHANNEL

from core.channels.messages import Status, StatusUpdate
from core.notify import news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from limited_house import LimitedHouse


async def tell(
    house: LimitedHouse,
    sent: Sequence[str],
    status: Status = Status.FAILED,
    *,
    recipient_fault: bool = False,
) -> None:
    """Take a status of each of these messages in, all at once."""
    told = [
        StatusUpdate(
            account="account-salon-a",
            callback_id=callback_id,
            dedupe=f"{status}-{callback_id}",
            provider_message_id=f"provider-{callback_id}",
            status=status,
            occurred_at=datetime.now(UTC),
            error_code="131000",
            recipient_fault=recipient_fault,
        )
        for callback_id in sent
    ]
    async with house.services.database.engine() as transaction:
        await news.apply_statuses(house.services, transaction, CHANNEL, told, timedelta(hours=1))


async def sent(house: LimitedHouse, business: UUID, count: int) -> list[str]:
    """Send messages that the provider takes over."""
    before = len(house.sender.sent)
    await house.queue(business, count, wake=False)
    assert await house.send_due() == count
    return [message.callback_id for message in house.sender.sent[before:]]


async def test_late_failures_stop_the_channel(house: LimitedHouse, business: UUID) -> None:
    """Half of the last twenty, told later, trips; each turns the mark of its own attempt."""
    messages = await sent(house, business, 20)
    await tell(house, messages[:9])
    assert await house.stands(business) == ("active", "")
    await tell(house, messages[9:10])
    assert await house.stands(business) == ("suspended", "too-many-failures")
    ring = await house.superuser.fetchval("SELECT ring FROM lane_health")
    assert ring == "0" * 10 + "1" * 10
    alerts = await house.superuser.fetch("SELECT kind FROM alert")
    assert [row["kind"] for row in alerts] == ["channel-suspended"]


async def test_wrong_recipients_and_repeats_do_not_count(
    house: LimitedHouse, business: UUID
) -> None:
    """A number that is not there says nothing of the channel; the same news counts once."""
    messages = await sent(house, business, 20)
    await tell(house, messages[:12], recipient_fault=True)
    for _ in range(3):
        await tell(house, messages[12:16])
    assert await house.stands(business) == ("active", "")
    ring = await house.superuser.fetchval("SELECT ring FROM lane_health")
    assert ring.count("1") == 4


async def test_what_arrived_cannot_fail_any_more(house: LimitedHouse, business: UUID) -> None:
    """Failed behind delivered moves nothing and counts nothing."""
    messages = await sent(house, business, 20)
    await tell(house, messages, Status.DELIVERED)
    await tell(house, messages)
    assert await house.stands(business) == ("active", "")
    assert await house.superuser.fetchval("SELECT ring FROM lane_health") == "0" * 20


async def test_old_failures_do_not_end_a_trial(house: LimitedHouse, business: UUID) -> None:
    """While one message is tried out, only that message's own answer decides."""
    messages = await sent(house, business, 30)
    await tell(house, messages[:15])
    assert (await house.stands(business))[0] == "suspended"
    await house.superuser.execute("UPDATE lane SET state = 'active', reason = 'probing'")
    await tell(house, messages[15:20])
    assert await house.stands(business) == ("active", "probing")
