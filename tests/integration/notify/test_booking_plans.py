"""The plan of a booking: one generation holds, whatever comes, in whatever order."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import begin, send_all, wake_and_claim
from msgspec.structs import replace

from core.ids import NOTIFICATION, inward
from core.notify import delivery, plans
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_scripted import Salon

    from core.notify.events import Answer

START = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)
WAITING = """
    SELECT rule_key, next_retry_at, generation FROM notification_outbox
    WHERE phase = 'waiting' ORDER BY next_retry_at, id
"""
STATES = """
    SELECT rule_key, generation, status, reason FROM notification_outbox ORDER BY id
"""


@pytest.fixture
async def salon(open_salon: Callable[..., Any]) -> Salon:
    """Open a salon with all five templates and a customer who agreed."""
    opened: Salon = await open_salon(reminders=True)
    await opened.customer()
    return opened


async def tell(salon: Salon, event_id: str, **fields: Any) -> Answer:
    """Tell one event of the booking B-1."""
    event = salon.event(event_id, **({"starts_at": START} | fields))
    return (await take_in(salon.services, salon.business, [event]))[0]


def outcomes(answer: Answer) -> dict[str, str]:
    """Return rule -> outcome, or the reason of a no."""
    return {one.rule: one.reason or one.outcome for one in answer.decisions}


async def test_a_booking_plans_its_reminders(salon: Salon, superuser: Any) -> None:
    """The confirmation goes at once, the reminders are scheduled, and the answer says when."""
    answer = await tell(salon, "e-1")
    assert outcomes(answer) == {
        "confirmed": "queued",
        "reminder-24h": "scheduled",
        "reminder-2h": "scheduled",
    }
    due = {one.rule: one.send_at for one in answer.decisions}
    assert due["confirmed"] is None
    assert due["reminder-2h"] == START - timedelta(hours=2)
    rows = await superuser.fetch(WAITING)
    assert [row["rule_key"] for row in rows] == ["confirmed", "reminder-24h", "reminder-2h"]
    assert [row["next_retry_at"] for row in rows[1:]] == [due["reminder-24h"], due["reminder-2h"]]
    assert await send_all(salon.services) == 1
    assert await send_all(salon.services) == 0
    kept = await superuser.fetch("SELECT outcome FROM decision ORDER BY id")
    assert [row["outcome"] for row in kept] == ["queued", "scheduled", "scheduled"]


async def test_an_imported_booking_is_reminded_of_and_not_confirmed(salon: Salon) -> None:
    """Going live with existing bookings writes to nobody at once."""
    answer = await tell(salon, "e-1", kind="booking.imported")
    assert outcomes(answer) == {"reminder-24h": "scheduled", "reminder-2h": "scheduled"}
    assert await send_all(salon.services) == 0


async def test_a_late_booking_skips_the_day_before(salon: Salon) -> None:
    """With five hours left the 24 h reminder is not sent at once; it is left out, by name."""
    answer = await tell(salon, "e-1", starts_at=datetime.now(UTC) + timedelta(hours=5))
    assert outcomes(answer) == {
        "confirmed": "queued",
        "reminder-24h": "too-late",
        "reminder-2h": "scheduled",
    }


async def test_a_reschedule_replaces_the_plan(salon: Salon, superuser: Any) -> None:
    """The old generation is canceled whole; the reminders stand before the new start."""
    await tell(salon, "e-1")
    later = START + timedelta(days=3)
    answer = await tell(salon, "e-2", kind="booking.rescheduled", starts_at=later)
    assert outcomes(answer)["rescheduled"] == "queued"
    rows = await superuser.fetch(STATES)
    old = [tuple(row) for row in rows if row["generation"] == 1]
    assert old == [
        (rule, 1, "canceled", "superseded")
        for rule in ("confirmed", "reminder-24h", "reminder-2h")
    ]
    waiting = await superuser.fetch(WAITING)
    assert {row["generation"] for row in waiting} == {2}
    assert waiting[-1]["next_retry_at"] == later - timedelta(hours=2)


@pytest.mark.parametrize("kind", ["booking.canceled", "booking.completed", "booking.no_show"])
async def test_an_end_cancels_what_is_pending(salon: Salon, superuser: Any, kind: str) -> None:
    """A canceled booking says so once; a completed one says nothing; no reminder stays."""
    await tell(salon, "e-1")
    await send_all(salon.services)
    answer = await tell(salon, "e-2", kind=kind)
    wanted = ["canceled"] if kind == "booking.canceled" else []
    assert [one.rule for one in answer.decisions] == wanted
    waiting = await superuser.fetch(WAITING)
    assert [row["rule_key"] for row in waiting] == wanted
    state = await superuser.fetchval("SELECT state FROM booking_plan")
    assert state == kind.removeprefix("booking.")


async def test_a_cancel_without_a_time_knows_it_from_the_plan(salon: Salon) -> None:
    """The customer reads of which appointment, although the event left it out."""
    await tell(salon, "e-1")
    await send_all(salon.services)
    answer = await tell(salon, "e-2", kind="booking.canceled", starts_at=None)
    assert outcomes(answer) == {"canceled": "queued"}
    await send_all(salon.services)
    told = {one.name: one.value for one in salon.sender.sent[-1].parameters}
    assert told["time"]


async def test_older_news_changes_nothing(salon: Salon, superuser: Any) -> None:
    """Version 2 came first: version 1 is answered, suppressed as superseded, and plans nothing."""
    await tell(salon, "e-2", kind="booking.rescheduled", version=2)
    before = await superuser.fetch(WAITING)
    answer = await tell(salon, "e-1", version=1, starts_at=START + timedelta(days=1))
    assert set(outcomes(answer).values()) == {"superseded"}
    assert await superuser.fetch(WAITING) == before
    assert await superuser.fetchval("SELECT booking_version FROM booking_plan") == 2


async def test_without_versions_the_time_decides(salon: Salon, superuser: Any) -> None:
    """A cancel that was told an hour later wins, although it arrives first."""
    now = datetime.now(UTC)
    canceled = replace(salon.event("e-2", kind="booking.canceled", starts_at=START), time=now)
    confirmed = replace(salon.event("e-1", starts_at=START), time=now - timedelta(hours=1))
    await take_in(salon.services, salon.business, [canceled])
    [late] = await take_in(salon.services, salon.business, [confirmed])
    assert set(outcomes(late).values()) == {"superseded"}
    assert [row["rule_key"] for row in await superuser.fetch(WAITING)] == ["canceled"]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_ends_in_the_newest_plan(salon: Salon, superuser: Any, seed: int) -> None:
    """Five versions, each told twice, in any order and in any portions: the fifth holds."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    events = [
        salon.event(
            f"e-{version}",
            kind="booking.confirmed" if version == 1 else "booking.rescheduled",
            starts_at=START + timedelta(days=version),
            version=version,
        )
        for version in range(1, 6)
    ] * 2
    chance.shuffle(events)
    while events:
        portion = [events.pop() for _ in range(min(len(events), chance.randint(1, 3)))]
        await take_in(salon.services, salon.business, portion)
    waiting = await superuser.fetch(WAITING)
    assert [row["rule_key"] for row in waiting] == ["rescheduled", "reminder-24h", "reminder-2h"]
    assert waiting[-1]["next_retry_at"] == START + timedelta(days=5, hours=-2)
    assert await superuser.fetchval("SELECT count(*) FROM booking_plan") == 1


async def test_rivals_leave_one_plan(salon: Salon, superuser: Any) -> None:
    """Twelve versions told at the same time by twelve callers: each notice waits once."""
    events = [
        salon.event(
            f"e-{version}",
            kind="booking.rescheduled",
            starts_at=START + timedelta(days=version),
            version=version,
        )
        for version in range(1, 13)
    ]
    await asyncio.gather(*(take_in(salon.services, salon.business, [event]) for event in events))
    waiting = await superuser.fetch(WAITING)
    assert [row["rule_key"] for row in waiting] == ["rescheduled", "reminder-24h", "reminder-2h"]
    assert waiting[-1]["next_retry_at"] == START + timedelta(days=12, hours=-2)


async def test_begin_refuses_an_old_generation(salon: Salon, superuser: Any) -> None:
    """A notice that slipped through the cancel is not sent: begin looks at the plan."""
    await tell(salon, "e-1")
    token, ids = await wake_and_claim(salon.services)
    await superuser.execute("UPDATE booking_plan SET generation = generation + 1")
    assert await delivery.begin_batch(salon.services, token, ids) == []
    row = await superuser.fetchrow("SELECT * FROM notification_outbox WHERE id = $1", ids[0])
    assert (row["status"], row["phase"], row["reason"]) == ("canceled", "final", "superseded")
    assert salon.sender.sent == []


async def test_direct_messages_follow_no_plan(salon: Salon, superuser: Any) -> None:
    """What no rule made is not made old by a booking's news."""
    await tell(salon, "e-1")
    await superuser.execute(
        "UPDATE notification_outbox SET rule_key = '' WHERE rule_key = 'confirmed'"
    )
    await superuser.execute("UPDATE booking_plan SET generation = 9")
    assert await send_all(salon.services) == 1


async def test_what_is_in_flight_is_reported_and_corrected(salon: Salon, superuser: Any) -> None:
    """A reschedule names the message that it could not stop any more, and sends the correction."""
    await tell(salon, "e-1")
    token, begun = await begin(salon.services)
    answer = await tell(
        salon, "e-2", kind="booking.rescheduled", starts_at=START + timedelta(days=1)
    )
    assert [inward(NOTIFICATION, one) for one in answer.superseded_in_flight] == [begun[0].id]
    results = [await delivery.hand_over(salon.services, one) for one in begun]
    await delivery.record_batch(salon.services, token, results)
    await send_all(salon.services)
    assert [one.template for one in salon.sender.sent] == [
        "booking_confirmed",
        "booking_rescheduled",
    ]
    row = await superuser.fetchrow("SELECT * FROM notification_outbox WHERE id = $1", begun[0].id)
    assert row["status"] == "sent"


async def test_after_an_outage_the_useless_is_expired(salon: Salon, superuser: Any) -> None:
    """Reminders due hours ago: what is still useful is sent, the rest is canceled by name."""
    await tell(salon, "e-1", kind="booking.imported")
    await tell(salon, "e-2", kind="booking.imported", booking="B-2")
    await superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() - interval '3 hours', "
        "useful_until = CASE booking_ref WHEN 'B-1' THEN now() - interval '1 hour' "
        "ELSE now() + interval '1 hour' END"
    )
    await delivery.sweep(salon.services)
    rows = await superuser.fetch("SELECT booking_ref, status, reason FROM notification_outbox")
    assert {tuple(row) for row in rows} == {
        ("B-1", "canceled", "expired"),
        ("B-2", "queued", ""),
    }
    assert await send_all(salon.services) == 2


async def test_a_callers_own_scheduler_and_ours_remind_once(salon: Salon, superuser: Any) -> None:
    """`reminder_due` brings the planned reminder forward; told again, it is not sent again."""
    starts_at = datetime.now(UTC) + timedelta(hours=2, minutes=30)
    await tell(salon, "e-1", kind="booking.imported", starts_at=starts_at)
    answer = await tell(salon, "e-2", kind="booking.reminder_due", starts_at=starts_at)
    assert outcomes(answer) == {"reminder-2h": "queued"}
    assert await send_all(salon.services) == 1
    again = await tell(salon, "e-3", kind="booking.reminder_due", starts_at=starts_at)
    assert outcomes(again) == {"reminder-2h": "already-sent"}
    assert await superuser.fetch(WAITING) == []


async def test_no_reminder_of_a_booking_that_was_called_off(salon: Salon) -> None:
    """A caller's scheduler that did not hear of the cancel reminds nobody."""
    await tell(salon, "e-1")
    await tell(salon, "e-2", kind="booking.canceled")
    answer = await tell(salon, "e-3", kind="booking.reminder_due")
    assert set(outcomes(answer).values()) == {"superseded"}


async def test_calling_off_stops_all_that_waits(salon: Salon, superuser: Any) -> None:
    """What is planned is canceled, what left is counted, and the next event plans anew."""
    await tell(salon, "e-1")
    await send_all(salon.services)
    async with salon.services.database.business(salon.business.id) as transaction:
        now = salon.services.clock.now()
        done = await plans.call_off(transaction, salon.business.id, "B-1", now)
        unknown = await plans.call_off(transaction, salon.business.id, "B-9", now)
    assert done == plans.CalledOff(canceled=2, already_sent=1)
    assert unknown is None
    assert await superuser.fetch(WAITING) == []
    await tell(salon, "e-2", kind="booking.rescheduled")
    assert len(await superuser.fetch(WAITING)) == 3


async def test_many_bookings_take_a_few_statements(salon: Salon, superuser: Any) -> None:
    """Two hundred bookings in one call: each is planned, and no step works row by row."""
    events = [
        salon.event(f"e-{n}", starts_at=START + timedelta(minutes=n), booking=f"B-{n}")
        for n in range(200)
    ]
    asked: list[str] = []
    database = salon.services.database
    pool = database._pools["patchbay_app"]
    connection = await pool.acquire()
    connection.add_query_logger(lambda record: asked.append(record.query))
    await pool.release(connection)
    await take_in(salon.services, salon.business, events)
    assert 0 < len(asked) < 40
    assert await superuser.fetchval("SELECT count(*) FROM notification_outbox") == 600
    assert await superuser.fetchval("SELECT count(*) FROM booking_plan") == 200
