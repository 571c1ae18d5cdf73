"""The day of the daily cap is the business's own, also after it moved to another time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from core.businesses.store import BusinessIn, change_business

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse

EAST, WEST = "Pacific/Kiritimati", "Pacific/Niue"  # a day apart, at every hour


async def move(house: LimitedHouse, business: UUID, zone: str) -> None:
    """Move the business as the interface does, in its own rights."""
    told = BusinessIn(name="Salon", timezone=zone, default_locale="en", country="IT")
    async with house.services.database.business(business) as transaction:
        await change_business(transaction, business, told, now=datetime.now(UTC))


@pytest.mark.parametrize("zone", [EAST, WEST])
async def test_the_day_follows_and_the_count_stays(
    house: LimitedHouse, business: UUID, superuser: Any, zone: str
) -> None:
    """Two of three were sent today: after the move one more goes, whatever day it is there."""
    await superuser.execute("UPDATE lane SET cap_day = 3")
    await house.queue(business, 2)
    assert await house.send_due() == 2
    await move(house, business, zone)
    lane = await superuser.fetchrow("SELECT tz, day, day_count FROM lane")
    assert tuple(lane) == (zone, datetime.now(ZoneInfo(zone)).date(), 2)
    await house.queue(business, 3)
    assert await house.send_due() == 1
    assert await house.send_due() == 0


async def test_yesterdays_count_is_over(
    house: LimitedHouse, business: UUID, superuser: Any
) -> None:
    """What was sent on another day does not count on."""
    await superuser.execute("UPDATE lane SET cap_day = 3, day = '2026-01-01', day_count = 3")
    await move(house, business, EAST)
    assert await superuser.fetchval("SELECT day_count FROM lane") == 0
    await house.queue(business, 1)
    assert await house.send_due() == 1


async def test_other_businesses_keep_their_zone(
    house: LimitedHouse, business: UUID, superuser: Any
) -> None:
    """Only the lanes of the one that moved follow."""
    await house.add_business("salon-b")
    await move(house, business, EAST)
    zones = await superuser.fetch("SELECT tz FROM lane ORDER BY tz")
    assert [row["tz"] for row in zones] == [EAST, "UTC"]
