"""The next days of a business, by the code that plans and decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_world import connect

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

PATH = f"/v1/businesses/{examples.BUSINESS}/upcoming"
SOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=4)
QUEUED = "SELECT rule_key, next_retry_at FROM notification_outbox ORDER BY next_retry_at, rule_key"


@pytest.fixture
async def salon(api: Api) -> Api:
    """Open the interface with a salon that has templates for its reminders, and a consent."""
    await connect(api.services, api.own, ["reminder_24h", "reminder_2h"])
    await api.grant()
    return api


async def book(api: Api, *starts: datetime, customer: str = "cus_88") -> None:
    """Bring in bookings as they are at going live."""
    booked = [
        {
            **examples.EVENT_BODY,
            "id": f"b-{customer}-{n}",
            "type": "booking.imported",
            "data": {
                "business_id": examples.BUSINESS,
                "booking": {"ref": f"B-{customer}-{n}", "starts_at": start.isoformat()},
                "customer": {**examples.CUSTOMER_BODY, "id": customer},
            },
        }
        for n, start in enumerate(starts)
    ]
    told = await api.call("POST", "/v1/events/batch", json={"events": booked})
    assert told.json()["failed"] == 0, told.text


async def coming(api: Api, query: str = "", key: str = "bound") -> list[dict[str, Any]]:
    """Read what is coming up."""
    answer = await api.call("GET", f"{PATH}?{query}", key=key)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def test_what_is_queued_is_coming_up(salon: Api) -> None:
    """In the order of sending, with booking, masked phone and text; nothing is in its way."""
    await book(salon, SOON, SOON + timedelta(days=2), SOON + timedelta(days=20))
    found = await coming(salon)
    rows = await salon.superuser.fetch(QUEUED)
    assert [(one["rule"], datetime.fromisoformat(one["send_at"])) for one in found] == [
        tuple(row) for row in rows[:4]
    ]
    assert {one["outcome"] for one in found} == {"scheduled"}
    first = found[0]
    assert first["notification_id"].startswith("ntf_")
    assert first["to"] == {"customer_id": "cus_88", "phone": "+39*******567", "address": None}
    assert (first["booking_ref"], first["template"]) == ("B-cus_88-0", "reminder_24h")
    assert datetime.fromisoformat(first["starts_at"]) == SOON
    assert (first["channel"], first["language"], first["reason"]) == ("whatsapp", "it", None)
    assert len(await coming(salon, "days=31")) == 6
    assert await coming(salon, "days=1") == []


async def test_what_would_stop_it_is_said(salon: Api) -> None:
    """Not connected, no template, a consent that is gone: as things stand now, nothing written."""
    await book(salon, SOON)
    before = await salon.count("decision")

    async def reasons() -> set[str]:
        return {one["reason"] for one in await coming(salon) if one["outcome"] == "suppressed"}

    run = salon.superuser.execute
    await run("UPDATE channel_connection SET state = 'error'")
    assert await reasons() == {"business-not-connected"}
    await run("UPDATE channel_connection SET state = 'active'")
    await run("UPDATE channel_template SET usable = false WHERE name = 'reminder_2h'")
    assert await reasons() == {"template-not-approved"}
    await run("UPDATE channel_template SET usable = true, language = 'pt'")
    assert await reasons() == {"template-unknown"}
    await run("UPDATE channel_template SET language = 'it'")
    await run("UPDATE customer_consents SET revoked_at = now(), opt_in = false")
    assert await reasons() == {"consent-revoked"}
    assert await salon.count("decision") == before


async def test_what_was_suppressed_is_looked_at_again(salon: Api) -> None:
    """Without consent nothing was queued; once it is there the rules want it, and say so."""
    await book(salon, SOON, customer="cus_89")
    found = await coming(salon)
    assert [(one["outcome"], one["reason"]) for one in found] == [
        ("suppressed", "consent-missing")
    ] * 2
    assert {one["notification_id"] for one in found} == {None}
    assert found[0]["to"]["phone"] == "+39*******567"
    await salon.grant("grant-2", customer_id="cus_89")
    found = await coming(salon)
    assert [(one["outcome"], one["reason"]) for one in found] == [("unplanned", None)] * 2


async def test_the_rules_as_they_are_now_count(salon: Api) -> None:
    """A new rule's notices are wanted, not planned; one that was switched off keeps its queue."""
    await book(salon, SOON)
    rules = f"/v1/businesses/{examples.BUSINESS}/rules"
    body = {"event_type": "booking.reminder_due", "template": "reminder_24h", "lead": "PT72H"}
    assert (await salon.call("PUT", f"{rules}/three-days", json=body)).status_code == 201
    off = {"enabled": False}
    assert (await salon.call("PUT", f"{rules}/reminder-2h", json=off)).status_code == 200
    found = {one["rule"]: one["outcome"] for one in await coming(salon)}
    assert found == {
        "three-days": "unplanned",
        "reminder-24h": "scheduled",
        "reminder-2h": "scheduled",
    }
    await book(salon, SOON, customer="cus_90")
    later = [one for one in await coming(salon) if one["to"]["customer_id"] == "cus_90"]
    assert {one["rule"]: one["reason"] for one in later} == {
        "three-days": "consent-missing",
        "reminder-24h": "consent-missing",
        "reminder-2h": "rule-disabled",
    }


async def test_the_forecast_is_the_plan(salon: Api) -> None:
    """What intake queued and what the rules foretell without it: the same moments."""
    quiet = {"lead": "PT2H", "quiet_hours": {"from": "20:00", "to": "09:30", "mode": "defer"}}
    path = f"/v1/businesses/{examples.BUSINESS}/rules/reminder-2h"
    assert (await salon.call("PUT", path, json=quiet)).status_code == 200
    await book(salon, *(SOON + timedelta(minutes=97 * n) for n in range(20)))
    found = await coming(salon, "limit=200")
    planned = [(one["rule"], one["send_at"]) for one in found if one["outcome"] == "scheduled"]
    assert len(planned) == await salon.count("notification_outbox") > 25
    await salon.superuser.execute("DELETE FROM notification_outbox")
    foretold = await coming(salon, "limit=200")
    kept = [one for one in foretold if one["reason"] != "quiet-hours"]
    assert [(one["rule"], one["send_at"]) for one in kept] == planned
    assert {one["outcome"] for one in kept} == {"unplanned"}


async def test_pages_follow_each_other_without_a_gap(salon: Api) -> None:
    """Twelve messages of one moment, queued and wanted, in pages of five: each stands once."""
    await book(salon, *[SOON] * 6)
    await salon.superuser.execute(
        "DELETE FROM notification_outbox WHERE booking_ref < 'B-cus_88-3'"
    )
    whole = await coming(salon, "limit=200")
    assert len(whole) == 12
    pages: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await salon.call("GET", f"{PATH}?limit=5{cursor}", key="bound")
        body = answer.json()
        pages += body["data"]
        if not body["has_more"]:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert pages == whole


async def test_a_direct_send_for_later_is_coming_up(salon: Api) -> None:
    """It has no rule and no booking, and stands among the others."""
    body = {**examples.SEND_BODY, "send_at": SOON.isoformat(), "metadata": {}}
    headers = {"Idempotency-Key": "send-1"}
    sent = await salon.call("POST", "/v1/notifications", json=body, headers=headers)
    [found] = await coming(salon)
    assert found["notification_id"] == sent.json()["id"]
    assert (found["rule"], found["booking_ref"], found["outcome"]) == ("", None, "scheduled")


@pytest.mark.parametrize("key", ["foreign", "test"])
async def test_a_foreign_business_has_no_next_days(salon: Api, key: str) -> None:
    """404; a query that is not understood is 422."""
    assert (await salon.call("GET", PATH, key=key)).status_code == 404
    for query in ("days=0", "days=32", "days=x", "cursor=x", "who=me"):
        assert (await salon.call("GET", f"{PATH}?{query}", key="bound")).status_code == 422
    made_up = "Af" + "_" * 21
    answer = await salon.call("GET", f"{PATH}?cursor={made_up}", key="bound")
    assert answer.status_code in {200, 422}


async def test_a_moved_clock_is_looked_ahead_from(salon: Api) -> None:
    """Of a test business three days ahead, the next days are those of its own clock."""
    run = salon.superuser.execute
    await run("SET session_replication_role = replica")  # the mode of a business never changes
    await run("UPDATE business SET mode = 'test', clock_ahead_seconds = 3 * 86400")
    await run("RESET session_replication_role")
    salon.keys["platform"] = salon.keys["bound"] = salon.keys["test"]
    start = SOON + timedelta(days=2)
    await book(salon, start)
    assert await coming(salon, "days=1") == []
    found = await coming(salon, "days=4")
    assert [datetime.fromisoformat(one["send_at"]) for one in found] == [
        start - timedelta(hours=24),
        start - timedelta(hours=2),
    ]
    assert {one["outcome"] for one in found} == {"scheduled"}
    rows = await salon.superuser.fetch(QUEUED)
    assert rows[0]["next_retry_at"] == start - timedelta(days=4)
