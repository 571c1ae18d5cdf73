"""Direct sends: one message outside the rules; a no is an error with its code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import send_all

from core.api import examples

if TYPE_CHECKING:
    import httpx
    from api_world import Api

PATH = "/v1/notifications"
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)


async def send(
    api: Api, *, key: str = "platform", name: str | None = "send-1", **changes: Any
) -> httpx.Response:
    """Ask for the examples' message, or one that differs."""
    headers = {} if name is None else {"Idempotency-Key": name}
    body = {**examples.SEND_BODY, **changes}
    return await api.call("POST", PATH, key=key, json=body, headers=headers)


async def test_a_direct_send_is_queued_and_goes_out(api: Api) -> None:
    """202 with its id; the values are the caller's, what is missing is known; metadata is back."""
    await api.grant()
    answer = await send(api)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["status"], body["send_at"]) == ("queued", None)
    assert body["links"]["self"] == answer.headers["location"] == f"{PATH}/{body['id']}"
    assert api.ring.woken == [(api.own.id, "whatsapp")]
    assert await send_all(api.services) == 1
    channel: Any = api.services.channels["whatsapp"]
    values = {one.name: one.value for one in channel.sent[0].parameters}
    assert values == {
        "first_name": "Giulia",
        "business_name": "Salone Aurora",
        "date": "24 mar",
        "time": "11:00",
    }
    read = (await api.call("GET", body["links"]["self"])).json()
    assert read["metadata"] == {"booking_ref": "B-1001", "ticket": "77"}
    assert (read["status"], read["event_type"]) == ("sent", "notification.requested")
    assert read["explanation"]["checks"][3]["evidence"].startswith("cns_")
    event = (await api.call("GET", f"/v1/events/{read['event_id']}")).json()
    assert [one["notification_id"] for one in event["decisions"]] == [body["id"]]
    kept = await api.superuser.fetchval("SELECT payload_json::text FROM notification_outbox")
    assert "77" not in kept
    assert "24 mar" not in kept


async def test_a_key_stands_for_one_send(api: Api) -> None:
    """The same call again gets the same answer; another body under it, or no key, is refused."""
    await api.grant()
    first, again = await send(api), await send(api)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await send(api, template="booking_canceled")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
    missing = await send(api, name=None)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency-missing")
    assert await api.count("notification_outbox") == 1
    assert (await send(api, name="send-2")).status_code == 202
    assert await api.count("notification_outbox") == 2


async def test_a_no_is_an_error_and_leaves_nothing(api: Api) -> None:
    """Consent, template, language, values, connection: each has its code; the key stays free."""
    nobody = await send(api)
    assert (nobody.status_code, nobody.json()["code"]) == (422, "consent-missing")
    assert "cus_88" in nobody.json()["detail"]
    assert await api.count("event") == await api.count("customer") == 0
    granted = (await api.grant()).json()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"template": "no_such"}, "template-unknown"),
        ({"language": "de"}, "template-unknown"),
        ({"variables": {}}, "variable-missing"),
        ({"channel": "console"}, "channel-disabled"),
        ({"channel": "no_such"}, "channel-disabled"),
    ]
    for changes, code in wrong:
        refused = await send(api, **changes)
        assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
    pointed = (await send(api, variables={})).json()["errors"]
    assert {one["pointer"] for one in pointed} == {"/variables/date", "/variables/time"}
    await api.superuser.execute("UPDATE channel_template SET usable = false")
    assert (await send(api)).json()["code"] == "template-not-approved"
    await api.superuser.execute(
        "UPDATE channel_template SET usable = true, category = 'marketing'"
    )
    assert (await send(api)).json()["code"] == "marketing-consent-missing"
    await api.superuser.execute("UPDATE channel_template SET category = 'utility'")
    await api.superuser.execute("UPDATE channel_connection SET state = 'error'")
    assert (await send(api)).json()["code"] == "business-not-connected"
    await api.superuser.execute("UPDATE channel_connection SET state = 'active'")
    await api.call("POST", f"/v1/consents/{granted['id']}/revoke", json={"source": "app"})
    assert (await send(api)).json()["code"] == "consent-revoked"
    assert await api.count("notification_outbox") == 0
    assert await api.count("idempotency_key") == 1  # the grant's


async def test_a_send_for_later_waits_and_expires(api: Api) -> None:
    """`send_at` is kept, `expires_at` is the end of its use; one before the other is refused."""
    await api.grant()
    times = {"send_at": LATER.isoformat(), "expires_at": (LATER + timedelta(hours=1)).isoformat()}
    body = (await send(api, **times)).json()
    assert datetime.fromisoformat(body["send_at"]) == LATER
    assert await send_all(api.services) == 0
    row = await api.superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (row["next_retry_at"], row["useful_until"]) == (LATER, LATER + timedelta(hours=1))
    late = await send(api, name="send-2", send_at=times["expires_at"], expires_at=times["send_at"])
    assert (late.status_code, late.json()["errors"][0]["pointer"]) == (422, "/expires_at")
    over = await send(api, name="send-3", expires_at="2026-01-01T00:00:00Z")
    assert over.json()["errors"][0]["pointer"] == "/expires_at"


async def test_news_of_the_booking_leave_a_direct_send_alone(api: Api) -> None:
    """It belongs to no plan; calling off what is planned for the booking stops it all the same."""
    await api.grant()
    sent = (await send(api, send_at=LATER.isoformat(), expires_at=None)).json()
    await api.tell(type="booking.canceled")
    read = (await api.call("GET", sent["links"]["self"])).json()
    assert read["status"] == "queued"
    stop = f"/v1/bookings/{examples.BOOKING}/cancel-scheduled"
    await api.call("POST", stop, json={"business_id": examples.BUSINESS})
    read = (await api.call("GET", sent["links"]["self"])).json()
    assert read["status"] == "canceled"


async def test_without_a_language_the_customers_is_used(api: Api) -> None:
    """The chain is that of events: the customer's, the business's, English."""
    await api.grant()
    assert (await send(api, language=None)).status_code == 202
    row = await api.superuser.fetchrow("SELECT language_code FROM notification_outbox")
    assert row["language_code"] == "it"


@pytest.mark.parametrize("key", ["foreign", "test"])
async def test_a_foreign_business_sends_nothing(api: Api, key: str) -> None:
    """404, like a business that is not there; a key without the scope is 403."""
    await api.grant()
    assert (await send(api, key=key)).status_code == 404
    assert (await send(api, key="reader")).status_code == 403
    assert await api.count("notification_outbox") == 0


async def test_what_is_wrong_with_a_send_is_pointed_at(api: Api) -> None:
    """Unknown fields, odd texts, a phone that is none: 422 with the pointer."""
    await api.grant()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"fall_back": ["email"]}, "/fall_back"),
        ({"to": {"phone": "+393331234567"}}, "/to/customer_id"),
        ({"to": {"customer_id": "cus_88", "phone": "333 12"}}, "/to/phone"),
        ({"to": {"customer_id": "cus_88", "email": "nobody"}}, "/to/email"),
        ({"language": "italiano"}, "/language"),
        ({"variables": {"1": ""}}, "/variables"),
        ({"variables": {"a b": "x"}}, "/variables"),
        ({"metadata": {"booking_ref": "B 1"}}, "/metadata/booking_ref"),
        ({"metadata": {str(n): "x" for n in range(21)}}, "/metadata"),
        ({"send_at": "2027-01-01T10:00:00"}, "/send_at"),
    ]
    for changes, pointer in wrong:
        refused = await send(api, **changes)
        assert refused.status_code == 422, (pointer, refused.text)
        assert refused.json()["errors"][0]["pointer"].startswith(pointer), refused.text
    assert await api.count("notification_outbox") == 0


async def test_the_next_channel_of_a_send_is_decided_instead(api: Api) -> None:
    """Its channels are kept with it; an unknown or a repeated one is refused."""
    await api.grant()
    api.services.registry.states["console"] = api.services.registry.states["whatsapp"]
    answer = await send(api, name="key-1", fallback=["console"])
    assert answer.status_code == 202, answer.text
    left = await api.superuser.fetchval("SELECT fallbacks FROM notification_outbox")
    assert left == '["console"]'
    for wrong in (["pigeon"], ["whatsapp"]):
        refused = await send(api, name="key-2", fallback=wrong)
        assert refused.json()["errors"][0]["pointer"] == "/fallback"
    await api.superuser.execute("UPDATE customer_consents SET opt_in = false, revoked_at = now()")
    assert (await send(api, name="key-3", fallback=["console"])).status_code == 422
