"""A customer's new address and language reach what waits for them, and nothing that has left."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import begin, send_all, wake_and_claim
from fixture_scripted import CHANNEL
from msgspec.structs import replace

from core.catalogue.store import Catalogue
from core.channels.host import Template
from core.notify import delivery
from core.notify.connections import lane_follows
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_scripted import Salon

OLD, NEW = "+393331234567", "+393337654321"
START = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)


@pytest.fixture
async def salon(open_salon: Callable[..., Any]) -> Salon:
    """Open a salon with its templates in two languages, and tell it of a booking."""
    opened: Salon = await open_salon(reminders=True)
    english = [
        Template(
            business_id=opened.business.id,
            name=name,
            language="en",
            usable=True,
            parameters=("first_name", "date"),
            body="Hello {{first_name}}: {{date}}",
        )
        for name in ("booking_confirmed", "reminder_24h")
    ]
    async with opened.services.database.engine() as transaction:
        await Catalogue(CHANNEL, lane_follows).put_templates(transaction, english)
    await opened.customer()
    await take_in(opened.services, opened.business, [opened.event(starts_at=START)])
    return opened


async def tell_news(salon: Salon, **changes: str) -> None:
    """Tell that the customer changed."""
    event = salon.event("news", kind="customer.updated", starts_at=START, body_hash=b"news")
    told = replace(event, booking=None, customer=replace(event.customer, **changes))
    await take_in(salon.services, salon.business, [told])


async def make_due(superuser: Any) -> None:
    """Let the reminders be due now."""
    await superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() WHERE phase = 'waiting'"
    )


async def test_what_waits_follows_the_customer(salon: Salon, superuser: Any) -> None:
    """The next messages go to the new phone, in the new language where a template has it."""
    await tell_news(salon, phone=NEW, locale="en-GB")
    await make_due(superuser)
    assert await send_all(salon.services) == 3
    sent = {one.template: (one.address, one.language) for one in salon.sender.sent}
    assert sent == {
        "booking_confirmed": (NEW, "en"),
        "reminder_24h": (NEW, "en"),
        "reminder_2h": (NEW, "it"),
    }
    [told] = [one for one in salon.sender.sent if one.template == "reminder_24h"]
    assert [one.name for one in told.parameters] == ["first_name", "date"]


async def test_what_is_only_claimed_follows_too(salon: Salon) -> None:
    """Between claim and begin the news still counts."""
    token, ids = await wake_and_claim(salon.services)
    await tell_news(salon, phone=NEW)
    [begun] = await delivery.begin_batch(salon.services, token, ids)
    assert begun.message is not None
    assert begun.message.address == NEW


async def test_what_is_in_flight_keeps_its_address(salon: Salon, superuser: Any) -> None:
    """It has left: the row still says where to."""
    token, [begun] = await begin(salon.services)
    await tell_news(salon, phone=NEW)
    results = [await delivery.hand_over(salon.services, begun)]
    await delivery.record_batch(salon.services, token, results)
    assert [one.address for one in salon.sender.sent] == [OLD]
    addresses = await superuser.fetch(
        "SELECT DISTINCT address_id, status FROM notification_outbox ORDER BY status"
    )
    assert [row["status"] for row in addresses] == ["queued", "sent"]
    assert addresses[0]["address_id"] != addresses[1]["address_id"]


async def test_consent_is_looked_at_for_the_new_address(salon: Salon, superuser: Any) -> None:
    """Whoever owns the new number said stop before: nothing goes there."""
    await superuser.execute(
        "INSERT INTO suppression (business_id, channel, address_hash, reason) "
        "VALUES ($1, $2, $3, 'stop')",
        salon.business.id,
        CHANNEL,
        salon.services.vault.blind_index(salon.business.id, "phone", NEW),
    )
    await tell_news(salon, phone=NEW)
    assert await send_all(salon.services) == 0
    row = await superuser.fetchrow(
        "SELECT status, reason FROM notification_outbox WHERE rule_key = 'confirmed'"
    )
    assert tuple(row) == ("canceled", "address-suppressed")


async def test_a_chosen_language_stays(salon: Salon, superuser: Any) -> None:
    """A message that no rule made keeps its language, and follows to the new phone."""
    await superuser.execute(
        "UPDATE notification_outbox SET rule_key = '' WHERE rule_key = 'confirmed'"
    )
    await tell_news(salon, phone=NEW, locale="en")
    await send_all(salon.services)
    assert [(one.address, one.language) for one in salon.sender.sent] == [(NEW, "it")]


async def test_the_news_waits_for_a_begin_under_way(salon: Salon, superuser: Any) -> None:
    """A row that somebody holds is waited for, so that one of the two sees the other."""
    async with superuser.transaction():
        await superuser.execute("SELECT FROM notification_outbox ORDER BY id FOR NO KEY UPDATE")
        news = asyncio.create_task(tell_news(salon, phone=NEW))
        done, _ = await asyncio.wait([news], timeout=0.5)
        assert not done
    await news
    addresses = "SELECT count(DISTINCT address_id) FROM notification_outbox"
    assert await superuser.fetchval(addresses) == 1
    assert await send_all(salon.services) == 1
    assert [one.address for one in salon.sender.sent] == [NEW]


async def test_other_customers_stay_as_they_are(salon: Salon, superuser: Any) -> None:
    """Only the customer who changed moves."""
    await salon.customer("cus-2")
    event = salon.event("e-2", starts_at=START, customer="cus-2", booking="B-2")
    await take_in(salon.services, salon.business, [event])
    await tell_news(salon, phone=NEW)
    assert await send_all(salon.services) == 2
    assert sorted(one.address for one in salon.sender.sent) == sorted([OLD, NEW])
    assert await superuser.fetchval("SELECT count(*) FROM customer_address") == 3
