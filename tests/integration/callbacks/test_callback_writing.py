"""A callback is written in the transaction of the change it tells, for whoever wants it."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from engine_steps import TOMORROW, begin, send_all, store_call, update
from two_channels import CONSOLE, with_console

from core.catalogue.store import Catalogue
from core.channels.host import Connection
from core.channels.messages import ConnectionState, InboundMessage, Status
from core.consent import revocation
from core.errors import InvalidRecipientError, PermanentError
from core.notify.connections import lane_follows
from core.notify.inbox import apply_waiting
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Wire


CANCELED = "booking.canceled"


async def kinds(wire: Wire) -> list[str]:
    """Return the types that were written, in their order."""
    return [row["type"] for row in await wire.rows()]


async def queue(wire: Wire, event_id: str = "e-1", **more: Any) -> None:
    """Tell an event; that of a cancellation leads to one notice and to no reminders."""
    event = wire.salon.event(event_id, starts_at=TOMORROW, **({"kind": CANCELED} | more))
    await take_in(wire.services, wire.salon.business, [event])


async def test_the_life_of_a_notification_is_told_step_by_step(wire: Wire) -> None:
    """Queued, sent, delivered, read: one callback each, with a sequence that only grows."""
    await wire.salon.customer()
    await queue(wire)
    await send_all(wire.services)
    for status, minutes in ((Status.DELIVERED, 1), (Status.READ, 2)):
        wire.salon.sender.news = [update(wire.salon, status, minutes=minutes)]
        await store_call(wire.services, "scripted")
        await apply_waiting(wire.services, "scripted")
    rows = [row for row in await wire.rows() if row["type"].startswith("notification.")]
    assert [row["type"].partition(".")[2] for row in rows] == [
        "queued",
        "sent",
        "delivered",
        "read",
    ]
    sequences = [row["sequence"] for row in rows]
    assert sequences == sorted(set(sequences))
    assert {row["subject_id"] for row in rows} == {rows[0]["subject_id"]}
    assert rows[1]["body"] is not None
    assert "393331234567" not in str(rows)
    assert "Giulia" not in str(rows)


async def test_failed_canceled_and_suppressed_are_told_with_their_reason(wire: Wire) -> None:
    """`code` is the reason; a suppressed notice is told by its decision."""
    await queue(wire, "e-0", customer="cus-none", booking="B-0")
    await wire.salon.customer()
    await queue(wire, "e-1")
    wire.salon.sender.answers = [InvalidRecipientError("no", code="131026")]
    await send_all(wire.services)
    await queue(wire, "e-2", booking="B-2", kind="booking.confirmed")
    await queue(wire, "e-3", booking="B-2")
    rows = await wire.rows()

    def told(kind: str) -> list[str]:
        return [row["body"] for row in rows if row["type"] == f"notification.{kind}"]

    assert any('"consent-missing"' in body for body in told("suppressed"))
    [failed] = told("failed")
    assert '"131026"' in failed
    stopped = [body for body in told("canceled") if '"superseded"' in body]
    assert stopped
    for word in ('"cus-1"', '"salon-a"', '"B-2"'):
        assert word in stopped[0]


async def test_consent_given_and_taken_back_is_told_once_each(wire: Wire) -> None:
    """Also the notification that the revocation canceled, in the same transaction."""
    customer = await wire.salon.customer()
    await queue(wire)
    now = wire.services.clock.now()
    for _ in range(2):
        async with wire.services.database.business(wire.salon.business.id) as transaction:
            await revocation.revoke(
                transaction,
                wire.salon.business.id,
                [customer],
                "scripted",
                purposes=["transactional"],
                source="app",
                actor="test",
                now=now,
            )
    told = await kinds(wire)
    assert told.count("consent.granted") == 1
    assert told.count("consent.revoked") == 1
    assert told.count("notification.canceled") == 1


async def test_what_a_customer_answered_is_told_without_words(wire: Wire) -> None:
    """The notification it answers, its booking and the button; no phone and no text."""
    await wire.salon.customer()
    await queue(wire)
    await send_all(wire.services)
    sent = wire.salon.sender.sent[0]
    answer = InboundMessage(
        account="account-salon-a",
        dedupe="in-1",
        provider_message_id="in-1",
        sender="+393331234567",
        message_type="button",
        text="Ci vediamo, sono Giulia",
        answers=f"provider-1-{sent.callback_id}",
        button="CONFIRM:B-1",
        occurred_at=wire.services.clock.now(),
    )
    wire.salon.sender.news = [answer]
    await store_call(wire.services, "scripted")
    await apply_waiting(wire.services, "scripted")
    [row] = [row for row in await wire.rows() if row["type"] == "message.received"]
    outbox = await wire.superuser.fetchval("SELECT id FROM notification_outbox")
    assert row["subject_id"] == outbox
    for word in ("CONFIRM:B-1", '"B-1"', '"cus-1"', '"button"'):
        assert word in row["body"]
    for word in ("393331234567", "Giulia", "Ci vediamo"):
        assert word not in row["body"]


async def test_a_change_that_is_rolled_back_tells_nothing(wire: Wire) -> None:
    """Change and callback live or die together."""
    await wire.salon.customer()
    before = await kinds(wire)
    await wire.superuser.execute("BEGIN")
    await wire.superuser.execute("UPDATE customer_consents SET opt_in = false")
    assert len(await kinds(wire)) == len(before) + 1
    await wire.superuser.execute("ROLLBACK")
    assert await kinds(wire) == before


async def test_only_who_wants_it_and_may_know_it_is_told(
    wire: Wire, open_salon: Callable[..., Any]
) -> None:
    """Areas and exact names; the platform hears of all live businesses, a neighbour of none."""
    business = wire.salon.business.id
    only_sent, _ = await wire.add("notification.sent", business_id=business)
    area, _ = await wire.add("notification.*", business_id=business)
    platform, _ = await wire.add("*")
    neighbour = await open_salon("salon-b")
    foreign, _ = await wire.add("*", business_id=neighbour.business.id)
    off, _ = await wire.add("*", business_id=business)
    await wire.superuser.execute(
        "UPDATE callback_endpoint SET state = 'disabled' WHERE id = $1", off
    )
    await wire.superuser.execute(
        "INSERT INTO callback_endpoint (mode, url, events, secret_sealed) "
        "VALUES ('test', 'http://127.0.0.1', '{*}', '')"
    )
    await wire.salon.customer()
    await queue(wire)
    await send_all(wire.services)
    assert [row["type"] for row in await wire.rows(only_sent)] == ["notification.sent"]
    assert {row["type"] for row in await wire.rows(area)} == {
        "notification.queued",
        "notification.sent",
    }
    heard = [row["type"].partition(".")[0] for row in await wire.rows(platform)]
    assert sorted(one for one in heard if one not in ("channel", "template")) == [
        "consent",
        "notification",
        "notification",
    ]
    assert await wire.rows(foreign) == []
    assert await wire.rows(off) == []
    count = "SELECT count(*) FROM callback_delivery JOIN callback_endpoint e ON e.id = endpoint_id"
    assert await wire.superuser.fetchval(f"{count} WHERE mode = 'test'") == 0
    assert await wire.superuser.fetchval(f"{count} WHERE mode = 'live'") > 0


async def test_a_business_sees_its_own_and_writes_none(wire: Wire, open_salon: Any) -> None:
    """The wall: foreign rows are invisible, secrets too, and nobody writes a callback by hand."""
    neighbour = await open_salon("salon-b")
    await wire.tell()
    database = wire.services.database
    async with database.business(neighbour.business.id) as transaction:
        assert await transaction.fetch("SELECT id FROM callback_endpoint") == []
        assert await transaction.fetch("SELECT id FROM callback_delivery") == []
    for statement in (
        "SELECT secret_sealed FROM callback_endpoint",
        "UPDATE callback_endpoint SET url = 'http://x'",
        "INSERT INTO callback_delivery (endpoint_id) SELECT id FROM callback_endpoint",
        "SELECT callback_write('{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.business(wire.salon.business.id) as transaction:
                await transaction.execute(statement)


@pytest.mark.alone
async def test_writing_costs_little_and_nothing_without_endpoints(wire: Wire) -> None:
    """500 status changes in one statement: a few milliseconds more, none when nobody listens."""
    await wire.salon.customer()
    await queue(wire)
    _, begun = await begin(wire.services)
    assert len(begun) == 1
    await wire.superuser.execute(
        """
        INSERT INTO notification_outbox (business_id, customer_id, channel, event_type,
            template_name, phase, status, booking_ref, rule_key)
        SELECT business_id, customer_id, channel, event_type, template_name, 'final', 'sent',
               'B-' || n, 'x' FROM notification_outbox, generate_series(1, 500) n
        """
    )
    run = wire.superuser.execute
    change = "UPDATE notification_outbox SET status = '{}' WHERE rule_key = 'x'"

    async def measure() -> float:
        took = []
        for turn in range(14):
            status = ("delivered", "sent")[turn % 2]
            began = time.perf_counter()
            await run(change.format(status))
            took.append(time.perf_counter() - began)
        return statistics.median(took[4:]) * 1000

    listening = await measure()
    await run("UPDATE callback_endpoint SET state = 'disabled'")
    nobody = await measure()
    await run("ALTER TABLE notification_outbox DISABLE TRIGGER USER")
    without = await measure()
    written = await wire.superuser.fetchval("SELECT count(*) FROM callback_delivery")
    assert written >= 500
    print(f"500 rows: {without:.1f} ms without, {nobody:.1f} nobody, {listening:.1f} one endpoint")
    assert nobody < without * 2 + 10
    assert listening < without + 150


async def test_a_fallback_is_told_on_both_sides(wire: Wire) -> None:
    """The failure of the first, then the follower, which names it in each of its steps."""
    pair = await with_console(wire.salon, wire.superuser)
    await pair.agree(CONSOLE)
    await pair.rule("scripted", CONSOLE)
    await pair.tell()
    wire.salon.sender.answers.append(PermanentError("no"))
    await pair.sent()
    await pair.sent()
    told = [
        (body["channel"], row["type"], body.get("fallback_of"))
        for row in await wire.rows()
        if row["type"] in ("notification.failed", "notification.queued", "notification.sent")
        and (body := json.loads(row["body"]))["template"] == "booking_confirmed"
    ]
    first = str(
        await wire.superuser.fetchval(
            "SELECT id FROM notification_outbox WHERE channel = 'scripted'"
        )
    )
    assert sorted(told, key=str) == sorted(
        [
            ("scripted", "notification.queued", None),
            ("scripted", "notification.failed", None),
            (CONSOLE, "notification.queued", first),
            (CONSOLE, "notification.sent", first),
        ],
        key=str,
    )


async def test_a_quality_stop_and_its_end_are_told(wire: Wire) -> None:
    """Red: the channel is suspended, with the code; green: it goes on; each once."""
    for quality in ("RED", "RED", "GREEN"):
        async with wire.services.database.engine() as transaction:
            await Catalogue("scripted", lane_follows).put_connections(
                transaction,
                [
                    Connection(
                        business_id=wire.salon.business.id,
                        account_ref=f"account-{wire.salon.business.ref}",
                        state=ConnectionState.ACTIVE,
                        quality=quality,
                    )
                ],
            )
    told = [
        (row["type"], json.loads(row["body"])["code"])
        for row in await wire.rows()
        if row["type"] in ("channel.suspended", "channel.resumed")
    ]
    assert told == [("channel.suspended", "quality-low"), ("channel.resumed", None)]
