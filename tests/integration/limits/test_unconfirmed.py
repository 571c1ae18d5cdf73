"""Messages whose answer was lost: held for a person, or sent again where the business says so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scripted_house import CHANNEL

from core.errors import OutcomeUnknownError
from core.notify import delivery

if TYPE_CHECKING:
    from uuid import UUID

    from limited_house import LimitedHouse


async def lose(house: LimitedHouse, business: UUID) -> None:
    """Send one message whose answer never comes, three minutes ago."""
    await house.queue(business, 1, wake=False)
    house.answer(OutcomeUnknownError("silence"))
    await house.send_due()
    await house.superuser.execute(
        "UPDATE notification_outbox SET begun_at = begun_at - interval '3 min'"
    )


async def test_by_default_it_is_held(house: LimitedHouse, business: UUID) -> None:
    """After the grace time nothing is sent again by itself."""
    await lose(house, business)
    assert await delivery.sweep(house.services) == set()
    assert await house.count("phase = 'unconfirmed'") == 1


async def test_resend_sends_it_again_after_the_grace(house: LimitedHouse, business: UUID) -> None:
    """The business's own grace time counts, and each time is a try."""
    await house.change(business, unconfirmed="resend", grace_seconds=600)
    await lose(house, business)
    assert await delivery.sweep(house.services) == set()
    await house.change(business, grace_seconds=60)
    assert await delivery.sweep(house.services) == {(business, CHANNEL)}
    assert await house.send_due() == 1
    assert await house.count("status = 'sent' AND retry_count = 1") == 1


async def test_resend_ends_with_the_tries(house: LimitedHouse, business: UUID) -> None:
    """After five it is held: somebody has to look."""
    await house.change(business, unconfirmed="resend")
    await lose(house, business)
    await house.superuser.execute("UPDATE notification_outbox SET retry_count = 5")
    assert await delivery.sweep(house.services) == set()
    assert await house.count("phase = 'unconfirmed'") == 1


async def test_where_nobody_can_tell_it_fails_after_the_businesss_grace(
    house: LimitedHouse, business: UUID
) -> None:
    """A channel without news gives up when the business's own time is over, not before."""
    house.services.registry.plugins.pop(CHANNEL)
    await house.change(business, grace_seconds=600)
    await lose(house, business)
    await delivery.sweep(house.services, timedelta(seconds=120))
    assert await house.count("phase = 'unconfirmed'") == 1
    await house.change(business, grace_seconds=60)
    await delivery.sweep(house.services, timedelta(seconds=120))
    assert await house.count("status = 'failed' AND reason = 'unknown-outcome'") == 1
