"""What goes wrong between claim and the last status, and what the engine makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine_steps import (
    TOMORROW,
    begin,
    send_all,
    store_call,
    update,
    wake_and_claim,
)

from core.channels.messages import InboundMessage, Status, StatusUpdate
from core.errors import (
    CredentialsRejectedError,
    OptedOutError,
    OutcomeUnknownError,
    RetryableError,
)
from core.notify import delivery
from core.notify.handovers import SendResult
from core.notify.inbox import apply_waiting
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_a_lost_answer_is_settled_by_news_and_never_repeated(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """After a lost answer the message is unconfirmed; the provider's news settles it."""
    salon = await open_salon()
    await salon.customer()
    answer = (await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)]))[0]
    salon.sender.answers = [OutcomeUnknownError("timeout")]
    await send_all(salon.services)
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["phase"]) == ("queued", "unconfirmed")
    assert await send_all(salon.services) == 0

    salon.sender.news = [
        StatusUpdate(
            account="account-salon-a",
            callback_id=answer.decisions[0].notification_id,
            dedupe="x",
            provider_message_id="wamid.X",
            status=Status.DELIVERED,
            occurred_at=datetime.now(UTC),
        )
    ]
    await store_call(salon.services, "scripted")
    await apply_waiting(salon.services, "scripted")
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["phase"], row["provider_message_id"]) == (
        "delivered",
        "final",
        "wamid.X",
    )


async def test_news_that_comes_before_our_record_is_kept(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A status that beats our own record is not undone by it."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    token, begun = await begin(salon.services)
    result = await delivery.hand_over(salon.services, begun[0])
    salon.sender.news = [update(salon, Status.DELIVERED)]
    await store_call(salon.services, "scripted")
    await apply_waiting(salon.services, "scripted")
    await delivery.record_batch(salon.services, token, [result])
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["status"], row["phase"]) == ("delivered", "final")


async def test_a_stale_worker_records_nothing(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A worker whose lease ended and was swept cannot change the row any more."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    token, begun = await begin(salon.services)
    await superuser.execute("UPDATE notification_outbox SET lease_until = now() - interval '1 s'")
    await delivery.sweep(salon.services)
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert row["phase"] == "unconfirmed"
    failed = SendResult(begun=begun[0], error=RetryableError("late"))
    await delivery.record_batch(salon.services, token, [failed])
    row = await superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["phase"], row["status"]) == ("unconfirmed", "queued")


async def test_a_lease_that_was_not_begun_goes_back(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A worker that dies between claim and begin costs a lease, not a message."""
    salon = await open_salon()
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    await wake_and_claim(salon.services)
    await superuser.execute("UPDATE notification_outbox SET lease_until = now() - interval '1 s'")
    keys = await delivery.sweep(salon.services)
    assert keys == {(salon.business.id, "scripted")}
    assert await send_all(salon.services) == 1
    assert len(salon.sender.sent) == 1


async def test_rejected_credentials_stop_the_lane_and_keep_the_queue(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """Refused credentials stop the business's lane, raise one alert, and lose nothing."""
    salon = await open_salon()
    await salon.customer()
    events = [salon.event(f"e-{n}", starts_at=TOMORROW, booking=f"B-{n}") for n in range(3)]
    await take_in(salon.services, salon.business, events)
    salon.sender.answers = [CredentialsRejectedError("no", code="190") for _ in range(3)]
    assert await send_all(salon.services) == 3
    assert await send_all(salon.services) == 0
    rows = await superuser.fetch("SELECT status, phase, retry_count FROM notification_outbox")
    assert {tuple(row) for row in rows} == {("queued", "waiting", 0)}
    assert await superuser.fetchval("SELECT state FROM lane") == "disconnected"
    assert await superuser.fetchval("SELECT count(*) FROM alert") == 1
    assert salon.sender.states


async def test_news_of_another_business_s_account_moves_nothing(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A status for A's message that comes for B's account is parked, not applied."""
    salon = await open_salon("salon-a")
    await open_salon("salon-b")
    await salon.customer()
    await take_in(salon.services, salon.business, [salon.event(starts_at=TOMORROW)])
    await send_all(salon.services)
    salon.sender.news = [update(salon, Status.READ, account="account-salon-b")]
    await store_call(salon.services, "scripted")
    await apply_waiting(salon.services, "scripted")
    assert await superuser.fetchval("SELECT status FROM notification_outbox") == "sent"
    assert await superuser.fetchval("SELECT count(*) FROM parked_status") == 1


async def test_one_bad_body_costs_the_others_nothing(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A body that cannot be read is tried five times, put aside, and the rest is applied."""
    salon = await open_salon()
    await store_call(salon.services, "scripted")
    await superuser.execute("UPDATE provider_inbox SET body_sealed = 'broken'::bytea")
    salon.sender.news = [
        InboundMessage(
            account="account-salon-a",
            dedupe="in-1",
            provider_message_id="wamid.IN",
            sender="+393331234567",
            message_type="text",
            text="Grazie",
            occurred_at=datetime.now(UTC),
        )
    ]
    await store_call(salon.services, "scripted")
    for _ in range(5):
        await apply_waiting(salon.services, "scripted")
    states = await superuser.fetch("SELECT state, attempts FROM provider_inbox ORDER BY id")
    assert [tuple(row) for row in states] == [("dead", 5), ("done", 1)]
    assert await apply_waiting(salon.services, "scripted") == 0


async def test_one_message_that_cannot_be_opened_costs_the_others_nothing(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """A damaged row is tried again later; the rest of its batch is sent."""
    salon = await open_salon()
    await salon.customer()
    events = [salon.event(f"e-{n}", starts_at=TOMORROW, booking=f"B-{n}") for n in range(3)]
    await take_in(salon.services, salon.business, events)
    await superuser.execute(
        "UPDATE notification_outbox SET variables_sealed = 'broken'::bytea"
        " WHERE booking_ref = 'B-1'"
    )
    assert await send_all(salon.services) == 3
    rows = await superuser.fetch(
        "SELECT status, phase, reason, error_code FROM notification_outbox ORDER BY booking_ref"
    )
    assert [tuple(row) for row in rows] == [
        ("sent", "final", "", None),
        ("queued", "waiting", "temporary-failure", "not-prepared"),
        ("sent", "final", "", None),
    ]


async def test_a_stop_told_to_the_provider_revokes_the_consent(
    open_salon: Callable[..., Any], superuser: Any
) -> None:
    """The provider says that the person opted out: the ledger says so too, and nothing follows."""
    salon = await open_salon()
    await salon.customer()
    events = [salon.event(f"e-{n}", starts_at=TOMORROW, booking=f"B-{n}") for n in range(3)]
    await take_in(salon.services, salon.business, events[:1])
    salon.sender.answers = [OptedOutError("stopped", code="131050")]
    await take_in(salon.services, salon.business, events[1:2])
    await superuser.execute(
        "UPDATE notification_outbox SET next_retry_at = now() + interval '1 h'"
        " WHERE booking_ref = 'B-1'"
    )
    assert await send_all(salon.services) == 1
    rows = await superuser.fetch(
        "SELECT status, reason FROM notification_outbox ORDER BY booking_ref"
    )
    assert [tuple(row) for row in rows] == [
        ("failed", "opted-out"),
        ("canceled", "consent-revoked"),
    ]
    line = await superuser.fetchrow("SELECT action, actor FROM consent_event ORDER BY id DESC")
    assert tuple(line) == ("revoke", "provider:scripted")
    answer = (await take_in(salon.services, salon.business, events[2:]))[0]
    assert answer.decisions[0].reason == "consent-revoked"
