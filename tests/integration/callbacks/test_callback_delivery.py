"""Delivery to real receivers: good ones, bad ones, and two workers at once."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from callback_receiver import listening
from engine_steps import TOMORROW, send_all
from standardwebhooks.webhooks import Webhook

from core.callbacks import endpoints, sending
from core.callbacks.outgoing import open_callback_client
from core.callbacks.schedule import ATTEMPTS, WAITS
from core.notify.intake import take_in

if TYPE_CHECKING:
    from conftest import Wire

SECOND = timedelta(seconds=1)


async def test_a_callback_arrives_signed_and_thin(wire: Wire) -> None:
    """A CloudEvent with the three headers, verified from the standard's own words."""
    await wire.salon.customer()
    event = wire.salon.event(starts_at=TOMORROW, kind="booking.canceled")
    await take_in(wire.services, wire.salon.business, [event])
    await send_all(wire.services)
    await wire.run(lambda: len(wire.receiver.calls) == 3)
    calls = {call.told["type"]: call for call in wire.receiver.calls}
    assert set(calls) == {"consent.granted", "notification.queued", "notification.sent"}
    call = calls["notification.sent"]
    assert call.verified_by(wire.secret)
    assert call.headers["content-type"].startswith("application/cloudevents+json")
    assert call.headers["webhook-id"] == call.told["id"]
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 30
    data = call.told["data"]
    assert data["business_id"] == "salon-a"
    assert data["customer_id"] == "cus-1"
    assert data["booking_ref"] == "B-1"
    assert data["status"] == "sent"
    assert data["retryable"] is False
    assert calls["notification.queued"].told["data"]["sequence"] < data["sequence"]
    assert calls["consent.granted"].told["data"]["consent_id"].startswith("cns_")
    assert len(call.body) < 20_000
    assert b"393331234567" not in call.body
    assert b"Giulia" not in call.body
    assert {row["state"] for row in await wire.rows()} == {"delivered"}


async def test_eight_attempts_then_no_more(wire: Wire) -> None:
    """The waits of the schedule within a tenth, the same message each time, then failed."""
    wire.receiver.always = "500"
    await wire.tell()
    waits = []
    for attempt in range(1, ATTEMPTS + 1):
        await wire.run(rounds=1)
        [row] = await wire.rows()
        assert row["attempt"] == attempt
        tries = json.loads(row["tries"])
        assert len(tries) == attempt
        if attempt < ATTEMPTS:
            waits.append(row["next_at"] - datetime.fromisoformat(tries[-1]["at"]))
        await wire.due_now()
    assert row["state"] == "failed"
    assert row["last_error"] == "http-500"
    assert all(
        w * 0.9 - SECOND <= v <= w * 1.1 + SECOND for v, w in zip(waits, WAITS, strict=True)
    )
    assert sum(waits, timedelta()) >= timedelta(hours=27)
    await wire.run(rounds=1)
    assert len(wire.receiver.calls) == ATTEMPTS
    assert len({call.headers["webhook-id"] for call in wire.receiver.calls}) == 1
    assert len({call.body for call in wire.receiver.calls}) == 1


async def test_a_redirect_is_not_followed(wire: Wire) -> None:
    """Nobody else gets the message, whatever the answer says."""
    async with listening() as elsewhere:
        wire.receiver.always = f"307 Location: {elsewhere.url}"
        await wire.tell()
        await wire.run(rounds=1)
        assert elsewhere.calls == []
    [row] = await wire.rows()
    assert (row["last_error"], row["last_status"], row["state"]) == ("redirect", 307, "waiting")


async def test_410_switches_the_endpoint_off_at_once(wire: Wire) -> None:
    """With an alert, and nothing more is written or delivered; what waited stays."""
    wire.receiver.script = ["410"]
    await wire.tell()
    await wire.run(rounds=1)
    await wire.tell()
    [row] = await wire.rows()
    assert (row["state"], row["last_error"]) == ("failed", "gone")
    endpoint = await wire.superuser.fetchrow(
        "SELECT state, reason FROM callback_endpoint WHERE id = $1", wire.endpoint_id
    )
    assert tuple(endpoint) == ("disabled", "gone")
    alert = await wire.superuser.fetchrow("SELECT * FROM alert")
    assert alert["kind"] == endpoints.ALERT
    assert alert["business_id"] == wire.salon.business.id
    assert json.loads(alert["arguments"]) == {"reason": "gone"}


@pytest.mark.parametrize("word", ["429 Retry-After: 7200", "503 Retry-After: 7200", "date"])
async def test_a_receiver_that_asks_for_time_gets_it(wire: Wire, word: str) -> None:
    """Retry-After in seconds or as a date; never earlier."""
    if word == "date":
        at = datetime.now(UTC) + timedelta(hours=2)
        word = f"429 Retry-After: {at:%a, %d %b %Y %H:%M:%S GMT}"
    wire.receiver.always = word
    began = datetime.now(UTC)
    await wire.tell()
    await wire.run(rounds=1)
    [row] = await wire.rows()
    assert row["state"] == "waiting"
    assert row["next_at"] - began >= timedelta(hours=2) - 2 * SECOND


@pytest.mark.parametrize("word", ["huge", "drip", "bomb"])
async def test_an_answer_without_end_is_judged_by_its_status(wire: Wire, word: str) -> None:
    """At most 64 KiB are read, for two seconds at most; 200 is 200."""
    wire.receiver.always = word
    await wire.tell()
    began = time.monotonic()
    await wire.run(rounds=20)
    [row] = await wire.rows()
    assert row["state"] == "delivered"
    assert time.monotonic() - began < 10
    # What was written but not read lies in the buffers of the two sockets and of the client.
    assert wire.receiver.written < 16 * 1024 * 1024


@pytest.mark.parametrize("word", ["hang", "slow-head"])
async def test_a_receiver_that_hangs_is_given_up(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The whole exchange has one limit, however slowly something comes."""
    assert sending.TOTAL_SECONDS == 15.0
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.5)
    wire.receiver.always = word
    await wire.tell()
    await wire.run(rounds=8)
    [row] = await wire.rows()
    assert (row["state"], row["last_error"], row["last_status"]) == ("waiting", "timeout", None)


async def test_a_broken_or_absent_receiver_is_tried_again(wire: Wire) -> None:
    """A connection that ends, and one that nobody takes."""
    wire.receiver.script = ["reset"]
    await wire.tell()
    await wire.run(rounds=1)
    [row] = await wire.rows()
    assert (row["state"], row["last_error"]) == ("waiting", "broken")
    async with listening() as closed:
        url = closed.url
    await wire.superuser.execute("UPDATE callback_endpoint SET url = $1", url)
    await wire.due_now()
    await wire.run(rounds=1)
    [row] = await wire.rows()
    assert (row["state"], row["last_error"], row["attempt"]) == ("waiting", "not-connected", 2)


async def test_production_connects_to_nothing_inside(wire: Wire) -> None:
    """By address and by a name that resolves to it: no connection, at any attempt."""
    strict = replace(wire, services=replace(wire.services, local_callbacks=False))
    port = wire.receiver.port
    urls = (wire.receiver.url, f"http://localhost:{port}/hooks", "http://localhost:8000/hooks")
    for url in urls:
        await wire.superuser.execute("DELETE FROM callback_delivery")
        await wire.superuser.execute("UPDATE callback_endpoint SET url = $1", url)
        await wire.tell()
        await strict.run(rounds=1)
        [row] = await wire.rows()
        assert (row["state"], row["last_error"]) == ("waiting", "address-forbidden")
    assert wire.receiver.calls == []


async def test_five_days_of_failure_switch_the_endpoint_off(wire: Wire) -> None:
    """A row of failures without a gap; one alert; success in between begins anew."""
    state = "SELECT state FROM callback_endpoint WHERE id = $1"
    earlier = (
        "UPDATE callback_endpoint SET failing_since = now() - $2::interval, "
        "failed_at = now() - $3::interval WHERE id = $1"
    )
    wire.receiver.always = "500"
    await wire.tell()
    for since, last, expected in (
        (timedelta(days=4, hours=23), timedelta(hours=14), "active"),
        (timedelta(days=30), timedelta(days=3), "active"),
        (timedelta(days=5, seconds=1), timedelta(hours=14), "disabled"),
    ):
        await wire.superuser.execute(earlier, wire.endpoint_id, since, last)
        await wire.due_now()
        await wire.run(rounds=1)
        assert await wire.superuser.fetchval(state, wire.endpoint_id) == expected
    assert await wire.superuser.fetchval("SELECT count(*) FROM alert") == 1
    await wire.due_now()
    count = len(wire.receiver.calls)
    await wire.run(rounds=1)
    assert len(wire.receiver.calls) == count


async def test_a_success_ends_a_row_of_failures(wire: Wire) -> None:
    """The clock of the five days starts again with the next failure."""
    wire.receiver.script = ["500"]
    await wire.tell()
    await wire.run(rounds=1)
    failing = "SELECT failing_since FROM callback_endpoint WHERE id = $1"
    assert await wire.superuser.fetchval(failing, wire.endpoint_id) is not None
    await wire.due_now()
    await wire.run(rounds=1)
    assert await wire.superuser.fetchval(failing, wire.endpoint_id) is None


async def test_two_workers_never_deliver_one_attempt_twice(wire: Wire) -> None:
    """200 callbacks, two senders claiming as fast as they can: each arrives once."""
    await wire.tell(200)
    wire.receiver.pause = 0.005
    await asyncio.gather(
        wire.run(lambda: len(wire.receiver.calls) >= 200, rounds=40),
        wire.run(lambda: len(wire.receiver.calls) >= 200, rounds=40),
    )
    ids = [call.headers["webhook-id"] for call in wire.receiver.calls]
    assert len(ids) == 200
    assert len(set(ids)) == 200
    rows = await wire.rows()
    assert {(row["state"], row["attempt"]) for row in rows} == {("delivered", 1)}


async def test_a_lease_that_ended_is_delivered_again_under_the_same_id(wire: Wire) -> None:
    """A worker that died costs an attempt, not the callback; its late record is passed over."""
    await wire.tell()
    [lost] = await sending.claim(wire.services, 10)
    assert await sending.claim(wire.services, 10) == []
    await wire.superuser.execute(
        "UPDATE callback_delivery SET lease_until = now() - interval '1 s'"
    )
    [again] = await sending.claim(wire.services, 10)
    assert again.delivery.id == lost.delivery.id
    assert again.delivery.attempt == 2
    client = open_callback_client(local=True)
    late = await sending.deliver(wire.services, client, lost)
    await sending.record(wire.services, [late])
    [row] = await wire.rows()
    assert row["state"] == "leased"
    await sending.record(wire.services, [await sending.deliver(wire.services, client, again)])
    [row] = await wire.rows()
    assert row["state"] == "delivered"
    await client.aclose()


async def test_an_endpoint_that_hangs_does_not_hold_up_the_others(wire: Wire) -> None:
    """Bounded places per endpoint, and fewer while it fails."""
    async with listening(always="hang") as hanging:
        stuck, _ = await wire.add("*", url=hanging.url, business_id=wire.salon.business.id)
        await wire.tell(100)
        taken = await sending.claim(wire.services, 64)
        by = [one.delivery.endpoint_id for one in taken]
        assert by.count(stuck) == 16
        assert by.count(wire.endpoint_id) == 16
        assert await sending.claim(wire.services, 64) == []
        await wire.superuser.execute(
            "UPDATE callback_delivery "
            "SET state = 'waiting', lease_token = NULL, lease_until = NULL"
        )
        await wire.superuser.execute(
            "UPDATE callback_endpoint SET failing_since = now(), failed_at = now() WHERE id = $1",
            stuck,
        )
        by = [one.delivery.endpoint_id for one in await sending.claim(wire.services, 64)]
        assert by.count(stuck) == 2
        assert by.count(wire.endpoint_id) == 16


async def test_places_are_shared_when_there_are_few(wire: Wire) -> None:
    """One endpoint with a thousand callbacks, one with one: both are in the first handful."""
    other, _ = await wire.add("consent.*", business_id=wire.salon.business.id)
    await wire.tell(1)
    await wire.superuser.execute("DELETE FROM callback_delivery WHERE endpoint_id <> $1", other)
    await wire.superuser.execute(
        "UPDATE callback_endpoint SET state = 'disabled' WHERE id = $1", other
    )
    await wire.tell(1000)
    await wire.superuser.execute("UPDATE callback_endpoint SET state = 'active'")
    await wire.superuser.execute(
        "UPDATE callback_delivery SET next_at = now() + interval '1 ms' WHERE endpoint_id = $1",
        other,
    )
    await asyncio.sleep(0.05)
    by = [one.delivery.endpoint_id for one in await sending.claim(wire.services, 4)]
    assert other in by
    assert by.count(wire.endpoint_id) == 3


async def test_a_secret_that_does_not_open_costs_only_its_own(wire: Wire) -> None:
    """A key that was lost is named in the log of deliveries; the others are told."""
    broken, _ = await wire.add("*", business_id=wire.salon.business.id)
    await wire.superuser.execute(
        "UPDATE callback_endpoint SET secret_sealed = '\\x01' WHERE id = $1", broken
    )
    await wire.tell()
    await wire.run(rounds=1)
    assert [row["last_error"] for row in await wire.rows(broken)] == ["secret-unreadable"]
    assert [row["state"] for row in await wire.rows()] == ["delivered"]


async def test_while_a_secret_is_replaced_both_sign(wire: Wire) -> None:
    """For a day; afterwards only the new one."""
    async with wire.services.database.engine() as transaction:
        found = await endpoints.get_endpoint(transaction, wire.endpoint_id)
        _, fresh = await endpoints.rotate_secret(
            transaction, wire.services.vault, found, wire.services.clock.now()
        )
    await wire.tell()
    await wire.run(rounds=1)
    [call] = wire.receiver.calls
    for secret in (wire.secret, fresh.reveal()):
        assert call.verified_by(secret)
        assert Webhook(secret).verify(call.body, call.headers) == call.told
    await wire.superuser.execute(
        "UPDATE callback_endpoint SET previous_until = previous_until - interval '24 h'"
    )
    await wire.tell()
    await wire.run(rounds=1)
    call = wire.receiver.calls[1]
    assert not call.verified_by(wire.secret)
    assert call.verified_by(fresh.reveal())


async def test_an_answer_outlives_an_outage_of_the_database(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written when the database is back, and the receiver is not asked again."""
    real = sending.record
    refused: list[Any] = []

    async def refuse_once(*arguments: Any) -> None:
        if not refused:
            refused.append(arguments)
            raise ConnectionRefusedError
        await real(*arguments)

    monkeypatch.setattr(sending, "record", refuse_once)
    await wire.tell()
    with pytest.raises(ConnectionRefusedError):
        await wire.run(rounds=1)
    [row] = await wire.rows()
    assert row["state"] == "delivered"
    assert len(wire.receiver.calls) == 1
