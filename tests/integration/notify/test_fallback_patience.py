"""A message that does not arrive is followed; one that arrives late calls its follower back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import wake_and_claim
from fixture_scripted import CHANNEL
from two_channels import CONSOLE, TwoChannels, with_console

from core.channels.messages import Status
from core.ids import new_uuid
from core.notify import delivery, fallbacks
from tasks.timetable import follow_up

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
async def pair(open_salon: Callable[..., Any], superuser: Any) -> TwoChannels:
    """Open a salon whose confirmations go to the first channel and then to the console."""
    found = await with_console(await open_salon(), superuser)
    await found.agree(CONSOLE)
    await found.rule(CHANNEL, CONSOLE)
    return found


async def sweep(pair: TwoChannels) -> None:
    """Do what the timetable does."""
    async with pair.services.database.engine() as transaction:
        await follow_up(pair.services, transaction)


async def test_what_has_not_arrived_in_time_is_followed(pair: TwoChannels, superuser: Any) -> None:
    """After the rule's patience the sweep writes the follower once; news of delivery stops it."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    left = await superuser.fetchval("SELECT fallback_at - sent_at FROM notification_outbox")
    assert left == timedelta(minutes=10)
    await sweep(pair)
    assert [row[0] for row in await pair.rows()] == [CHANNEL]
    await pair.overdue()
    await asyncio.gather(sweep(pair), sweep(pair))
    await sweep(pair)
    assert await pair.rows() == [(CHANNEL, "sent", ""), (CONSOLE, "queued", "")]
    assert await pair.sent() == 1
    assert await pair.rows() == [(CHANNEL, "sent", ""), (CONSOLE, "sent", "")]


async def test_what_arrived_in_time_is_not_followed(pair: TwoChannels) -> None:
    """A delivered message has no follower, however late the sweep looks."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await pair.news(Status.DELIVERED)
    await pair.overdue()
    await sweep(pair)
    assert await pair.rows() == [(CHANNEL, "delivered", "")]


@pytest.mark.parametrize("claimed", [False, True])
async def test_a_delivery_before_the_follower_left_cancels_it(
    pair: TwoChannels,
    superuser: Any,
    claimed: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """Waiting or claimed, the follower ends as delivered-meanwhile, and no alert is raised."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await pair.overdue()
    await sweep(pair)
    token, ids = await wake_and_claim(pair.services) if claimed else (new_uuid(), [])
    await pair.news(Status.DELIVERED)
    assert await pair.rows() == [
        (CHANNEL, "delivered", ""),
        (CONSOLE, "canceled", "delivered-meanwhile"),
    ]
    assert await delivery.begin_batch(pair.services, token, ids) == []
    assert await pair.sent() == 0
    assert await pair.logged() == 0
    assert await superuser.fetchval("SELECT count(*) FROM alert") == 0


async def test_begin_looks_whether_the_first_has_arrived(
    pair: TwoChannels, superuser: Any
) -> None:
    """A follower that the news did not see is stopped by its own last look."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await pair.overdue()
    await sweep(pair)
    await superuser.execute(
        "UPDATE notification_outbox SET status = 'delivered' WHERE channel = $1", CHANNEL
    )
    assert await pair.sent() == 0
    assert (await pair.rows())[1] == (CONSOLE, "canceled", "delivered-meanwhile")


async def test_a_delivery_after_the_follower_left_is_reported(
    pair: TwoChannels, superuser: Any
) -> None:
    """Both stand as they are, and people are told once that the customer has it twice."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await pair.overdue()
    await sweep(pair)
    await pair.sent()
    await pair.news(Status.DELIVERED)
    await pair.news(Status.READ)
    assert await pair.rows() == [(CHANNEL, "read", ""), (CONSOLE, "sent", "")]
    alerts = await superuser.fetch("SELECT kind, subject FROM alert")
    assert [tuple(row) for row in alerts] == [(fallbacks.DELIVERED_TWICE, CONSOLE)]


async def test_a_late_failure_of_the_provider_is_followed(pair: TwoChannels) -> None:
    """Failed after sent calls the next channel; delivered after failed calls it back."""
    await pair.tell()
    await pair.sent()
    await pair.news(Status.FAILED, error_code="131026")
    assert await pair.rows() == [
        (CHANNEL, "failed", "provider-failed"),
        (CONSOLE, "queued", ""),
    ]
    await pair.news(Status.DELIVERED, minutes=1)
    assert await pair.rows() == [
        (CHANNEL, "delivered", ""),
        (CONSOLE, "canceled", "delivered-meanwhile"),
    ]


async def test_a_test_business_s_clock_ends_the_patience(
    pair: TwoChannels, superuser: Any
) -> None:
    """Moved by an hour, a patience of ten minutes with what was sent is over."""
    await superuser.execute("ALTER TABLE business DISABLE TRIGGER USER")
    await superuser.execute("UPDATE business SET mode = 'test'")
    await superuser.execute("ALTER TABLE business ENABLE TRIGGER USER")
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await sweep(pair)
    assert len(await pair.rows()) == 1
    await superuser.execute("SELECT sandbox_advance($1, 3600)", pair.salon.business.id)
    await sweep(pair)
    assert len(await pair.rows()) == 2
