"""The quality stop: nothing is begun while the provider says that nobody wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted_house import CHANNEL

from core.catalogue.store import Catalogue
from core.channels.host import Connection
from core.channels.messages import ConnectionState
from core.ids import BusinessId
from core.limits import suspension
from core.limits.pauses import Reach
from core.notify.connections import lane_follows
from core.notify.pausing import pause_sending, resume_sending

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse

STOP, WARNING = "quality-low", "quality-warning"
LOW = ("suspended", "quality-low")


async def rate(
    house: LimitedHouse, business: UUID, quality: str, *, account: str = "account-salon-a"
) -> None:
    """Write what the provider says into the catalogue, as a channel does."""
    async with house.services.database.engine() as transaction:
        await Catalogue(CHANNEL, lane_follows).put_connections(
            transaction,
            [
                Connection(
                    business_id=BusinessId(business),
                    account_ref=account,
                    state=ConnectionState.ACTIVE,
                    quality=quality,
                )
            ],
        )


async def alerts(house: LimitedHouse) -> list[tuple[str, str]]:
    """Return every alert about quality and its state, the oldest first."""
    rows = await house.superuser.fetch("SELECT kind, state FROM alert ORDER BY created_at, id")
    return [(row["kind"], row["state"]) for row in rows]


async def test_red_stops_what_is_already_claimed(house: LimitedHouse, business: UUID) -> None:
    """From the commit on nothing is begun, claimed or not; the queue is kept; one alert."""
    await house.queue(business, 4, wake=False)
    token, ids = await house.claim()
    await rate(house, business, "RED")
    assert await house.stands(business) == LOW
    assert await house.begin(token, ids) == []
    assert await house.send_due() == 0
    assert await house.count("phase = 'waiting' AND status = 'queued'") == 4
    await rate(house, business, "RED")
    assert await alerts(house) == [(STOP, "open")]


async def test_another_business_goes_on(house: LimitedHouse, business: UUID) -> None:
    """The quality of one business's account is no other's."""
    other = await house.add_business("salon-b")
    await rate(house, business, "RED")
    await house.queue(other, 2, wake=False)
    assert await house.send_due() == 2


async def test_yellow_warns_once_and_green_ends_it(house: LimitedHouse, business: UUID) -> None:
    """A warning stops nothing; good news resolve it; words that say nothing change nothing."""
    for quality in ("GREEN", "YELLOW", "YELLOW", "UNKNOWN", ""):
        await rate(house, business, quality)
    assert await house.stands(business) == ("active", "")
    assert await alerts(house) == [(WARNING, "open")]
    await rate(house, business, "GREEN")
    assert await alerts(house) == [(WARNING, "resolved")]


async def test_only_green_or_a_person_ends_the_stop(house: LimitedHouse, business: UUID) -> None:
    """Less bad is not good; green opens the lane, and the next red is told again."""
    await house.queue(business, 1, wake=False)
    await rate(house, business, "YELLOW")
    await rate(house, business, "RED")
    assert await alerts(house) == [(WARNING, "resolved"), (STOP, "open")]
    await rate(house, business, "YELLOW")
    assert await house.stands(business) == LOW
    await rate(house, business, "GREEN")
    assert await house.stands(business) == ("active", "")
    assert {state for _, state in await alerts(house)} == {"resolved"}
    assert await house.send_due() == 1
    await rate(house, business, "RED")
    assert await house.stands(business) == LOW
    assert (await alerts(house))[-1] == (STOP, "open")


async def test_a_person_may_go_on_all_the_same(house: LimitedHouse, business: UUID) -> None:
    """A resume opens the lane; the same red does not close it, a new one does."""
    await house.queue(business, 1, wake=False)
    await rate(house, business, "RED")
    back = await resume_sending(house.services.database, Reach(business, CHANNEL), actor="test")
    assert back.changed
    assert back.running == [(business, CHANNEL)]
    await rate(house, business, "RED")
    assert await house.send_due() == 1
    await rate(house, business, "GREEN")
    await rate(house, business, "RED")
    assert await house.stands(business) == LOW


async def test_stops_do_not_lift_each_other(house: LimitedHouse, business: UUID) -> None:
    """A pause, a trial after failures and the quality each keep the lane to themselves."""
    await rate(house, business, "RED")
    await house.superuser.execute(
        "UPDATE lane_health SET suspended_at = now(), probe_at = now() - interval '1 s'"
    )
    async with house.services.database.engine() as transaction:
        assert await suspension.probe(transaction) == []
    await pause_sending(house.services.database, Reach(business), reason="", actor="test")
    assert (await house.stands(business))[0] == "killed"
    await rate(house, business, "GREEN")
    assert (await house.stands(business))[0] == "killed"
    await house.superuser.execute("DELETE FROM sending_pause")
    async with house.services.database.engine() as transaction:
        await transaction.execute("SELECT * FROM lane_refresh(NULL, NULL)")
    assert await house.stands(business) == ("suspended", "too-many-failures")


@pytest.mark.parametrize(
    ("limit", "quality", "state"),
    [("YELLOW", "YELLOW", "suspended"), ("OFF", "RED", "active"), ("RED", "YELLOW", "active")],
)
async def test_a_business_chooses_where_it_stops(
    house: LimitedHouse, business: UUID, limit: str, quality: str, state: str
) -> None:
    """`quality_stop` names the word at which the lane stands; any other word switches it off."""
    await house.change(business, quality_stop=limit)
    await rate(house, business, quality)
    assert (await house.stands(business))[0] == state


async def test_the_worst_account_decides(house: LimitedHouse, business: UUID) -> None:
    """A second account in good standing does not hide the first one's."""
    await rate(house, business, "RED")
    await rate(house, business, "GREEN", account="account-second")
    assert await house.stands(business) == LOW
