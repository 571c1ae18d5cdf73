"""From a booking event to a message that was read, through real processes."""

from __future__ import annotations

import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import httpx
import psycopg
import pytest
from fixture_town import NUMBER_ID, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_redis import RedisServer
    from fixture_town import Town

COLUMNS = {
    "business_whatsapp_config": (
        "id business_id waba_id phone_number_id access_token_encrypted token_expires_at "
        "connected_at status quality_rating created_at updated_at"
    ),
    "whatsapp_templates": "id business_id template_name category language_code status created_at",
    "customer_consents": (
        "id customer_id business_id channel opt_in opt_in_at source proof_reference revoked_at "
        "created_at"
    ),
    "notification_outbox": (
        "id business_id customer_id channel event_type template_name payload_json status "
        "provider_message_id error_code retry_count next_retry_at created_at updated_at"
    ),
    "whatsapp_message_log": (
        "id business_id customer_id direction message_type content_snapshot provider_message_id "
        "delivery_status timestamp"
    ),
}
"""Specification, section 3: every column is written somewhere in these journeys."""


def first_accepted_at(town: Town, callback_id: str) -> float | None:
    """Return the wall time at which the provider accepted a message."""
    for message in town.journal():
        if message["biz_opaque_callback_data"] == callback_id:
            return datetime.fromisoformat(message["accepted_at"]).timestamp()
    return None


@pytest.mark.parametrize("queue", ["postgresql", "redis"])
def test_two_webs_and_two_workers_walk_the_journey(
    found_town: Callable[..., Town], redis_server: RedisServer, queue: str
) -> None:
    """Two of each process share the work; each message is sent once; no file is written."""
    town = found_town(webs=2, workers=2, queue_url=redis_server.url if queue == "redis" else None)
    town.consent(web=1)
    told = [town.tell(f"e-{n}", web=n % 2) for n in range(10)]
    ids = [one["decisions"][0]["notification_id"] for one in told]
    assert {one["decisions"][0]["outcome"] for one in told} == {"queued"}
    for notification_id in ids:
        seen = town.wait_for_status(notification_id, "read")
        assert [step["status"] for step in seen["timeline"]][-3:] == ["sent", "delivered", "read"]
    journal = town.journal()
    assert sorted(message["biz_opaque_callback_data"] for message in journal) == sorted(ids)
    assert "Giulia" in journal[0]["text"]
    assert [path for path in town.folder.rglob("*") if path.is_file()] == []


def test_the_same_event_at_two_webs_is_sent_once(found_town: Callable[..., Town]) -> None:
    """An event told to both web processes leads to one message and one answer."""
    town = found_town(webs=2)
    town.consent()
    first, second = town.tell("e-1", web=0), town.tell("e-1", web=1)
    assert second["duplicate"]
    assert second["decisions"] == first["decisions"]
    town.wait_for_status(first["decisions"][0]["notification_id"], "read")
    assert len(town.journal()) == 1


async def test_every_column_of_the_specification_is_written(
    found_town: Callable[..., Town],
) -> None:
    """A sent, a retried, a refused message, an inbound one and a revocation fill section 3."""
    town = found_town()
    consent_id = town.consent()
    town.consent("cus-2", "+12025550103")  # fails twice before it is accepted
    town.consent("cus-3", "+12025550102")  # accepted, then not deliverable
    good = town.tell("e-1")["decisions"][0]["notification_id"]
    retried = town.tell("e-2", customer="cus-2", phone="+12025550103")
    refused = town.tell("e-3", customer="cus-3", phone="+12025550102")
    town.wait_for_status(good, "read")
    failed = town.wait_for_status(refused["decisions"][0]["notification_id"], "failed")
    assert failed["explanation"]["provider_code"] == "131026"
    httpx.post(
        f"{town.simulator}/simulator/inbound",
        json={"phone_number_id": NUMBER_ID, "from": "+393331234567", "text": "Grazie!"},
    ).raise_for_status()
    answer = town.api("POST", f"/v1/consents/{consent_id}/revoke", json={"source": "app"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "revoked"

    connection = await asyncpg.connect(town.database.superuser_url)
    try:
        waiting = town.notification(retried["decisions"][0]["notification_id"])
        assert waiting["status"] == "queued"
        assert waiting["next_attempt_at"]
        row = await connection.fetchrow(
            "SELECT * FROM notification_outbox WHERE retry_count > 0 AND phase = 'waiting'"
        )
        assert (row["retry_count"], row["error_code"]) == (1, "131016")
        wait_for_inbound = "SELECT count(*) FROM whatsapp_message_log WHERE direction = 'inbound'"
        for _ in range(600):
            if await connection.fetchval(wait_for_inbound):
                break
            time.sleep(0.05)
        empty = []
        for table, listed in COLUMNS.items():
            for column in listed.split():
                written = await connection.fetchval(
                    f'SELECT count(*) FROM {table} WHERE "{column}" IS NOT NULL'
                )
                if not written:
                    empty.append(f"{table}.{column}")
        assert empty == []
    finally:
        await connection.close()


def test_a_revoked_consent_stops_what_waits(found_town: Callable[..., Town]) -> None:
    """After the acknowledged revocation nothing more reaches the provider."""
    town = found_town(workers=0)
    consent_id = town.consent()
    queued = town.tell("e-1")["decisions"][0]["notification_id"]
    answer = town.api("POST", f"/v1/consents/{consent_id}/revoke", json={"source": "app"})
    assert (answer.status_code, answer.json()["canceled_notifications"]) == (200, 1)
    town.start_worker()
    seen = town.wait_for_status(queued, "canceled")
    assert seen["explanation"]["code"] == "consent-revoked"
    after = town.tell("e-2")["decisions"][0]
    assert (after["outcome"], after["reason"]) == ("suppressed", "consent-revoked")
    time.sleep(1.5)
    assert town.journal() == []


@pytest.mark.alone
def test_latency_from_event_to_provider(
    found_town: Callable[..., Town], own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Redis the median is under 100 ms; with Redis stopped it is under 1.5 s."""
    town = found_town(queue_url=own_redis.url)
    with psycopg.connect(town.database.superuser_url) as connection:
        # The default caps would hold messages back, which is not what is measured.
        connection.execute("UPDATE lane SET cap_minute = 6000, burst = 600, tokens = 600")
        connection.execute("UPDATE business SET settings = '{\"per_recipient_day\": 1000}'")
    town.consent()
    for warm in range(3):
        town.wait_for_status(town.tell(f"warm-{warm}")["decisions"][0]["notification_id"], "read")

    def measure(mark: str, count: int) -> list[float]:
        waits = []
        for n in range(count):
            told_at = time.time()
            notification = town.tell(f"{mark}-{n}")["decisions"][0]["notification_id"]
            # The provider's own clock is read afterwards: looking often would slow what we time.
            wait_until(
                lambda who=notification: first_accepted_at(town, who) is not None, 5, every=0.2
            )
            accepted = first_accepted_at(town, notification)
            assert accepted is not None
            waits.append((accepted - told_at) * 1000)
            time.sleep(0.2)
        return waits

    with_redis = measure("redis", 15)
    own_redis.kill()
    without = measure("polling", 5)
    with capsys.disabled():
        print(
            f"\nevent to provider: with Redis p50 {statistics.median(with_redis):.0f} ms, "
            f"max {max(with_redis):.0f} ms; with Redis stopped "
            f"p50 {statistics.median(without):.0f} ms, max {max(without):.0f} ms"
        )
    assert statistics.median(with_redis) < 100
    assert max(without) < 1500
