"""The path of a message through the engine, on a real PostgreSQL, with a scripted channel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import (
    TOMORROW,
    send_all,
    store_call,
    update,
    wake_and_claim,
)
from msgspec.structs import replace

from core.channels.messages import Status
from core.errors import (
    InvalidInputError,
    InvalidRecipientError,
    RetryableError,
)
from core.ids import NOTIFICATION, inward
from core.notify import delivery
from core.notify.inbox import apply_waiting
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_an_event_becomes_a_message_that_is_read(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A confirmed booking is decided, queued, sent once, and its statuses move it to read."""
    salon = await open_salon()
    await salon.customer()

    answer = (await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)]))[0]
    assert answer.decisions[0].outcome == "queued"
    assert await send_all(salon.services) == 1

    message = salon.sender.sent[0]
    assert message.callback_id == answer.decisions[0].notification_id
    assert message.address == "+393331234567"
    assert [one.name for one in message.parameters] == [
        "first_name",
        "business_name",
        "date",
        "time",
    ]
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["phase"], row["retry_count"]) == ("sent", "final", 0)
    assert row["provider_message_id"].startswith("provider-1-")

    salon.sender.news = [
        update(salon, Status.READ, minutes=2),
        update(salon, Status.SENT),
        update(salon, Status.DELIVERED, minutes=1),
    ]
    await store_call(salon.services, "scripted")
    assert await apply_waiting(salon.services, "scripted") == 1
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert row["status"] == "read"
    assert row["sent_at"] < row["delivered_at"] < row["read_at"]
    assert await superuser.fetchval("SELECT count(*) FROM status_update") == 3
    assert await superuser.fetchval("SELECT state FROM provider_inbox") == "done"


async def test_the_same_event_again_gets_the_same_answer(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """Telling an event twice queues one message; the second answer is the first, marked."""
    salon = await open_salon()
    await salon.customer()
    event = salon.event(starts_at=TOMORROW)
    first = (await take_in(salon.services, salon.business, [event]))[0]
    again = (await take_in(salon.services, salon.business, [event]))[0]
    assert not first.duplicate
    assert again.duplicate
    assert (again.id, again.decisions) == (first.id, first.decisions)
    assert await superuser.fetchval("SELECT count(*) FROM notification_outbox") == 1


async def test_the_same_meaning_under_another_id_is_a_duplicate(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """The same booking version told under two event ids leads to one message."""
    salon = await open_salon()
    await salon.customer()
    first = salon.event("e-1", starts_at=TOMORROW, version=1)
    second = salon.event("e-2", starts_at=TOMORROW, version=1)
    answers = [
        (await take_in(salon.services, salon.business, [event]))[0] for event in (first, second)
    ]
    assert answers[1].duplicate
    assert answers[1].id == answers[0].id
    assert await superuser.fetchval("SELECT count(*) FROM notification_outbox") == 1


async def test_another_body_under_the_same_id_is_refused(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """An id with a different body is refused and nothing of it is written."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    with pytest.raises(InvalidInputError) as refused:
        await take_in(
            salon.services, salon.business, [salon.event(starts_at=TOMORROW, body_hash=b"other")]
        )
    assert refused.value.code == "idempotency-mismatch"
    assert await superuser.fetchval("SELECT count(*) FROM event") == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("UPDATE channel_connection SET state = 'error'", "business-not-connected"),
        ("DELETE FROM channel_template", "template-unknown"),
        ("UPDATE channel_template SET usable = false", "template-not-approved"),
        ("UPDATE customer_consents SET opt_in = false, revoked_at = now()", "consent-revoked"),
        ("DELETE FROM customer_consents", "consent-missing"),
        ("UPDATE channel_template SET category = 'marketing'", "marketing-consent-missing"),
        ("UPDATE business SET killed_at = now()", "channel-disabled"),
    ],
)
async def test_each_gate_says_no_with_its_reason(
    open_salon: Callable[..., Any], superuser: Any, spoil: str, reason: str
) -> None:
    """Each of the specification's checks suppresses the message and keeps the reason."""
    salon = await open_salon()
    await salon.customer()
    await superuser.execute(spoil)
    business = salon.business
    if reason == "channel-disabled":
        business = replace(business, killed_at=datetime.now(UTC))
    answer = (await take_in(salon.services, business, [salon.event(starts_at=TOMORROW)]))[0]
    decision = answer.decisions[0]
    assert (decision.outcome, decision.reason) == ("suppressed", reason)
    assert decision.notification_id.startswith("dec_")
    assert await superuser.fetchval("SELECT count(*) FROM notification_outbox") == 0
    kept = await superuser.fetchrow(
        "SELECT outcome, reason, checks FROM decision WHERE rule_key = 'confirmed'"
    )
    assert (kept["outcome"], kept["reason"]) == ("suppressed", reason)


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (
            "UPDATE customer_consents SET opt_in=false, revoked_at=now()",
            "canceled",
            "consent-revoked",
        ),
        ("DELETE FROM customer_consents", "canceled", "consent-missing"),
        ("UPDATE channel_template SET usable = false", "failed", "template-not-approved"),
        (
            "UPDATE channel_template SET category='marketing'",
            "canceled",
            "marketing-consent-missing",
        ),
        ("UPDATE notification_outbox SET useful_until = now()", "canceled", "expired"),
        ("UPDATE lane SET state = 'suspended'", "queued", "held"),
        ("UPDATE business SET killed_at = now()", "queued", "held"),
        ("UPDATE channel_connection SET state = 'error'", "queued", "held"),
    ],
)
async def test_begin_looks_again_at_what_may_have_changed(
    open_salon: Callable[..., Any], superuser: Any, spoil: str, status: str, reason: str
) -> None:
    """What changes between claim and begin stops the message: nothing reaches the provider."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    token, ids = await wake_and_claim(salon.services)
    assert len(ids) == 1
    await superuser.execute(spoil)
    assert await delivery.begin_batch(salon.services, token, ids) == []
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["reason"]) == (status, reason)
    assert row["lease_token"] is None


async def test_a_cancel_stops_what_waits_for_the_booking(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A canceled booking takes its waiting confirmation with it and sends the news instead."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event("e-1", starts_at=TOMORROW)])
    await take_in(
        salon.services,
        salon.business,
        [salon.event("e-2", starts_at=TOMORROW, kind="booking.canceled")],
    )
    await send_all(salon.services)
    assert [message.template for message in salon.sender.sent] == ["booking_canceled"]
    row = await superuser.fetchrow(
        "SELECT status, reason FROM notification_outbox WHERE template_name = 'booking_confirmed'"
    )
    assert tuple(row) == ("canceled", "superseded")


async def test_a_minute_cap_is_exact(open_salon: Callable[..., Any], superuser: Any) -> None:
    """A lane of three a minute claims three and then waits for the window to pass."""
    salon = await open_salon()
    await salon.customer()
    await superuser.execute("UPDATE lane SET cap_minute = 3")
    events = [salon.event(f"e-{n}", starts_at=TOMORROW, booking=f"B-{n}") for n in range(8)]
    await take_in(salon.services, salon.business, events)
    assert await send_all(salon.services) == 3
    assert await send_all(salon.services) == 0
    wait = await superuser.fetchval("SELECT extract(epoch FROM next_at - now()) FROM lane")
    assert 55 < wait <= 62


async def test_a_day_cap_counts_messages_once(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """The day counts a message at its first claim; a retry is free, a further one must wait."""
    salon = await open_salon()
    await salon.customer()
    await superuser.execute("UPDATE lane SET cap_day = 2")
    events = [salon.event(f"e-{n}", starts_at=TOMORROW, booking=f"B-{n}") for n in range(4)]
    await take_in(salon.services, salon.business, events)
    salon.sender.answers = [RetryableError("down")]
    assert await send_all(salon.services) == 2
    await superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() WHERE retry_count = 1"
    )
    assert await send_all(salon.services) == 1
    assert await send_all(salon.services) == 0
    assert await superuser.fetchval("SELECT day_count FROM lane") == 2
    answered = inward(NOTIFICATION, salon.sender.sent[0].callback_id)
    assert answered is not None


async def test_retries_wait_and_then_give_up(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A message that always fails is tried once and five times more, with growing waits."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    salon.sender.answers = [RetryableError("down", code="131000") for _ in range(9)]
    waits = []
    for _ in range(6):
        assert await send_all(salon.services) == 1
        row = await superuser.fetchrow(
            "SELECT *, extract(epoch FROM next_retry_at - updated_at) AS wait "
            "FROM notification_outbox"
        )
        waits.append(row["wait"])
        await superuser.execute(
            "UPDATE notification_outbox SET next_retry_at = now() WHERE phase = 'waiting'"
        )
        await superuser.execute("UPDATE lane SET next_at = now()")
    assert (row["status"], row["reason"], row["error_code"], row["retry_count"]) == (
        "failed",
        "retries-exhausted",
        "131000",
        5,
    )
    for place, wait in enumerate(waits[:5]):
        assert 30 * 2**place * 0.75 <= wait <= 30 * 2**place * 1.25
    assert await send_all(salon.services) == 0
    assert await superuser.fetchval("SELECT count(*) FROM send_attempt") == 6


async def test_a_permanent_error_stops_at_once(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A number that is not reachable is tried once."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    salon.sender.answers = [InvalidRecipientError("no", code="131026")]
    await send_all(salon.services)
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["reason"], row["error_code"]) == (
        "failed",
        "recipient-not-reachable",
        "131026",
    )
