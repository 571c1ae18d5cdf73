"""What happens as time passes, and how the provider's news comes in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core.channels.messages import Status
from core.ids import NOTIFICATION, new_uuid, outward
from core.outbox.sealing import sealing_context
from core.testing.channels import status_body
from tasks.inbox import apply_inbox
from tasks.timetable import DUTIES, Duty, Timetable

if TYPE_CHECKING:
    from uuid import UUID

    from scripted_house import House

    from core.channels.host import Transaction
    from core.notify.services import Services

OLD = "now() - interval '30 days'"


async def test_a_lease_that_ended_goes_back_and_the_message_is_sent(
    house: House, business: UUID
) -> None:
    """What a worker that died had claimed is sent by the next one, once."""
    await house.queue(business, wake=False)
    await house.superuser.execute(
        "UPDATE notification_outbox SET phase = 'leased', lease_token = gen_random_uuid(), "
        "lease_until = now() - interval '1 s', claimed_at = now(), first_claimed_at = now()"
    )
    await Timetable(house.services).step()
    async with house.dispatching():
        await house.until("status = 'sent'", 1)
    assert len(house.channel.sent) == 1


async def test_a_send_whose_worker_died_is_unconfirmed(house: House, business: UUID) -> None:
    """What a worker that died had begun is not sent again; it waits for the provider's news."""
    await house.queue(business, wake=False)
    await house.superuser.execute(
        "UPDATE notification_outbox SET phase = 'in_flight', lease_token = gen_random_uuid(), "
        "lease_until = now() - interval '1 s', begun_at = now()"
    )
    await Timetable(house.services).step()
    async with house.dispatching():
        await house.until("phase = 'unconfirmed'", 1)
    assert not house.channel.sent


async def test_what_was_kept_long_enough_is_deleted(house: House) -> None:
    """Old answers, bodies, marks, parked news and login tries go; young ones stay."""
    run = house.superuser.execute
    for age in (OLD, "now()"):
        await run(
            "INSERT INTO idempotency_key (scope, key, request_hash, created_at) "
            f"VALUES ('s', gen_random_uuid()::text, '', {age})"
        )
        await run(
            "INSERT INTO provider_inbox (channel, body_sealed, state, received_at) "
            f"VALUES ('scripted', '', 'done', {age}), ('scripted', '', 'dead', {age})"
        )
        await run(
            "INSERT INTO inbox_dedupe (channel, dedupe, seen_at) "
            f"VALUES ('scripted', gen_random_uuid()::text::bytea, {age})"
        )
        await run(
            "INSERT INTO parked_status (channel, account_ref, provider_message_hash, status, "
            f"occurred_at, until) VALUES ('x', 'a', '', 'sent', now(), {age} + interval '1 h')"
        )
        await run(f"INSERT INTO login_attempt (key_hash, at) VALUES ('', {age})")
    await run(
        "INSERT INTO provider_inbox (channel, body_sealed, state, received_at) "
        f"VALUES ('other', '', 'waiting', {OLD})"
    )
    await Timetable(house.services).step()
    left = {
        table: await house.superuser.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("idempotency_key", "inbox_dedupe", "parked_status", "login_attempt")
    }
    assert left == dict.fromkeys(left, 1)
    kept = await house.superuser.fetch("SELECT state FROM provider_inbox ORDER BY state")
    assert [row["state"] for row in kept] == ["dead", "done", "waiting"]


async def test_one_worker_at_a_time_does_a_duty(house: House) -> None:
    """While another worker does a duty, this one leaves it out."""
    done: list[str] = []
    begun, others_are_through = asyncio.Event(), asyncio.Event()

    async def act(_services: Services, _transaction: Transaction) -> None:
        done.append("done")
        begun.set()
        await others_are_through.wait()

    duties = (Duty(90, "a test's own", 0.0, act),)
    first = asyncio.create_task(Timetable(house.services, duties).step())
    await asyncio.wait_for(begun.wait(), 30)
    await asyncio.gather(*(Timetable(house.services, duties).step() for _ in range(2)))
    others_are_through.set()
    await first
    assert done == ["done"]


async def test_a_duty_that_fails_does_not_cost_the_others(house: House) -> None:
    """After a duty that raises, the next one is done, and the failing one is tried again."""
    done: list[str] = []

    async def fail(_services: Services, _transaction: Transaction) -> None:
        done.append("failed")
        raise LookupError("on purpose")

    async def act(_services: Services, _transaction: Transaction) -> None:
        done.append("done")

    timetable = Timetable(house.services, (Duty(91, "bad", 0.0, fail), Duty(92, "good", 0.0, act)))
    await timetable.step()
    await timetable.step()
    assert done == ["failed", "done"] * 2
    assert len({duty.number for duty in DUTIES}) == len(DUTIES)


async def test_stored_news_moves_the_message_forward(house: House, business: UUID) -> None:
    """A stored call of the provider makes the message delivered, whatever else waits beside it."""
    (sent,) = await house.queue(business)
    async with house.dispatching():
        await house.until("status = 'sent'", 1)
    callback = outward(NOTIFICATION, sent)
    bodies = (
        b"no list at all",
        status_body("account-salon-a", [(callback, f"prov-{callback}", Status.DELIVERED)]),
    )
    for body in bodies:
        row = new_uuid()
        context = sealing_context("scripted", row)
        await house.superuser.execute(
            "INSERT INTO provider_inbox (id, channel, body_sealed) VALUES ($1, 'scripted', $2)",
            row,
            house.services.vault.seal(body, context=context),
        )
    assert not await apply_inbox(house.services)
    assert await house.count("status = 'delivered' AND delivered_at IS NOT NULL") == 1
    states = await house.superuser.fetch("SELECT state, attempts FROM provider_inbox ORDER BY id")
    assert [(row["state"], row["attempts"]) for row in states] == [("waiting", 1), ("done", 1)]
