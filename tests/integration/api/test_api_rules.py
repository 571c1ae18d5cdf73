"""Rules of a business over the interface, and what they change about its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

RULES = "/v1/businesses/salon-aurora/rules"
REMINDER = f"{RULES}/reminder-24h"
BUILT_IN = ["confirmed", "rescheduled", "canceled", "reminder-24h", "reminder-2h"]

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("reminder-24h", {"lead": "PT30S"}, "/lead"),
    ("reminder-24h", {"lead": "P91D"}, "/lead"),
    ("reminder-24h", {"lead": "tomorrow"}, "/lead"),
    ("reminder-24h", {"event_type": "booking.canceled"}, "/event_type"),
    ("confirmed", {"lead": "PT2H"}, "/lead"),
    ("confirmed", {"minimum_notice": "-PT1H"}, "/minimum_notice"),
    ("confirmed", {"quiet_hours": {"from": "21:00", "to": "21:00"}}, "/quiet_hours/to"),
    ("confirmed", {"quiet_hours": {"from": "25:00", "to": "21:00"}}, "/quiet_hours/from"),
    ("confirmed", {"channels": ["pigeon"]}, "/channels"),
    ("confirmed", {"channels": ["whatsapp", "whatsapp"]}, "/channels"),
    ("confirmed", {"channels": ["whatsapp"], "fallback_after": "PT30M"}, "/fallback_after"),
    ("confirmed", {"fallback_after": "PT30S"}, "/fallback_after"),
    ("confirmed", {"fallback_after": "P8D"}, "/fallback_after"),
    ("confirmed", {"languages": ["Italian"]}, "/languages"),
    ("confirmed", {"variables": {"service": "a\nb"}}, "/variables/*"),
    ("confirmed", {"colour": "red"}, "/colour"),
    ("thanks", {"template": "thanks"}, "/event_type"),
    ("thanks", {"event_type": "booking.exploded", "template": "thanks"}, "/event_type"),
    ("thanks", {"event_type": "booking.completed"}, "/template"),
    ("reminder-1w", {"event_type": "booking.reminder_due", "template": "x"}, "/lead"),
    ("Thanks!", {"event_type": "booking.completed", "template": "thanks"}, ""),
]


async def tell(api: Api, **changes: Any) -> dict[str, dict[str, Any]]:
    """Tell the examples' event and return the decisions by rule."""
    told = await api.tell(**changes)
    assert told.status_code == 202, told.text
    return {one["rule"]: one for one in told.json()["decisions"]}


async def test_built_in_rules_hold_without_a_row(api: Api) -> None:
    """A business that never changed anything has all five."""
    listed = await api.call("GET", RULES, key="bound")
    assert [one["rule"] for one in listed.json()["data"]] == BUILT_IN
    assert await api.count("notification_rule") == 0
    read = await api.call("GET", REMINDER)
    assert read.headers["etag"] == '"0"'
    body = read.json()
    assert (body["lead"], body["template"], body["built_in"]) == ("P1D", "reminder_24h", True)
    assert (await api.call("GET", f"{RULES}/none")).status_code == 404


async def test_a_change_counts_its_version_and_is_audited(api: Api) -> None:
    """The answer and a later reading agree; the trail has both sides."""
    change = {"lead": "PT48H", "quiet_hours": {"from": "21:00", "to": "08:00"}}
    put = await api.call("PUT", REMINDER, json=change, headers={"If-Match": '"0"'})
    assert (put.status_code, put.headers["etag"]) == (200, '"1"')
    read = await api.call("GET", REMINDER)
    assert read.json() == put.json()
    assert read.json()["quiet_hours"] == {"from": "21:00", "to": "08:00", "mode": "defer"}
    said = await api.superuser.fetchrow("SELECT * FROM audit_log WHERE action = 'rule.change'")
    assert said["target"] == "rule:reminder-24h"
    assert '"P1D"' in said["before"]
    assert '"P2D"' in said["after"]


async def test_nobody_overwrites_what_they_did_not_see(api: Api) -> None:
    """412 for an old version; without the header the last one wins; nothing is lost silently."""
    first = await api.call("PUT", REMINDER, json={"lead": "PT48H"}, headers={"If-Match": '"0"'})
    assert first.status_code == 200
    clash = await api.call("PUT", REMINDER, json={"lead": "PT12H"}, headers={"If-Match": '"0"'})
    assert (clash.status_code, clash.json()["code"]) == (412, "changed-meanwhile")
    assert (await api.call("GET", REMINDER)).json()["lead"] == "P2D"
    for headers in ({"If-Match": '"1"'}, {"If-Match": "*"}, {}):
        put = await api.call("PUT", REMINDER, json={"lead": "PT36H"}, headers=headers)
        assert put.status_code == 200, headers
    new = {"event_type": "booking.completed", "template": "thanks"}
    absent = await api.call("PUT", f"{RULES}/thanks", json=new, headers={"If-Match": "*"})
    assert absent.status_code == 412


@pytest.mark.parametrize(("key", "status"), [("foreign", 404), ("test", 404), ("reader", 403)])
async def test_rules_of_others_are_out_of_reach(api: Api, key: str, status: int) -> None:
    """A foreign business looks like none, and reading notifications is not changing rules."""
    for method, path in (("GET", RULES), ("GET", REMINDER), ("PUT", REMINDER)):
        more: dict[str, Any] = {"json": {"enabled": False}} if method == "PUT" else {}
        assert (await api.call(method, path, key=key, **more)).status_code == status
    assert await api.count("notification_rule") == 0


async def test_what_is_wrong_with_a_rule_is_pointed_at(api: Api) -> None:
    """Nothing that could not be followed is kept."""
    for rule, body, pointer in WRONG:
        refused = await api.call("PUT", f"{RULES}/{rule}", json=body)
        assert refused.status_code == 422, (rule, body, refused.text)
        assert refused.json()["errors"][0]["pointer"] == pointer, refused.text
    assert await api.count("notification_rule") == 0


async def test_a_rule_that_is_off_makes_no_message(api: Api) -> None:
    """The decision names it, and stays readable."""
    await api.grant()
    await api.call("PUT", f"{RULES}/confirmed", json={"enabled": False})
    decision = (await tell(api))["confirmed"]
    assert (decision["outcome"], decision["reason"]) == ("suppressed", "rule-disabled")
    read = (await api.call("GET", f"/v1/notifications/{decision['notification_id']}")).json()
    checks = read["explanation"]["checks"]
    assert (checks[0]["check"], checks[0]["result"]) == ("rule", "fail")
    assert {one["result"] for one in checks[1:]} == {"skipped"}
    assert await api.count("notification_outbox") == 0


async def test_template_lead_and_words_follow_the_rule(api: Api) -> None:
    """Another template, another lead, a word for what the event leaves out."""
    await api.grant()
    change = {
        "template": "booking_confirmed",
        "lead": "PT48H",
        "variables": {"first_name": "cliente"},
    }
    await api.call("PUT", REMINDER, json=change)
    customer = {"id": "cus_88", "phone": "+393331234567"}
    data = {**examples.EVENT_BODY["data"], "customer": customer}
    body = {**examples.EVENT_BODY, "data": data}
    asked = (await api.call("POST", "/v1/events?dry_run=true", json=body)).json()
    decision = next(one for one in asked["decisions"] if one["rule"] == "reminder-24h")
    assert (decision["outcome"], decision["template"]) == ("scheduled", "booking_confirmed")
    assert decision["send_at"] == "2027-03-21T09:30:00Z"
    assert decision["rendered"].startswith("Ciao cliente, Salone Aurora")


async def test_a_rule_of_ones_own(api: Api) -> None:
    """A new key is made, with 201, and is set off by its event."""
    await api.grant()
    new = {"event_type": "booking.completed", "template": "booking_confirmed"}
    made = await api.call("PUT", f"{RULES}/thanks", json=new)
    assert (made.status_code, made.headers["etag"], made.json()["built_in"]) == (201, '"1"', False)
    listed = (await api.call("GET", RULES)).json()["data"]
    assert [one["rule"] for one in listed] == [*BUILT_IN, "thanks"]
    decisions = await tell(api, type="booking.completed")
    assert decisions["thanks"]["outcome"] == "queued"


async def test_the_rules_channels_and_languages_come_first(api: Api) -> None:
    """A rule that names a channel is not sent by another one; nor in another language."""
    await api.grant()
    await api.call("PUT", f"{RULES}/confirmed", json={"channels": ["console"]})
    assert (await tell(api))["confirmed"]["channel"] == "console"
    await api.call(
        "PUT", f"{RULES}/rescheduled", json={"channels": ["whatsapp"], "languages": ["de"]}
    )
    customer = {**examples.CUSTOMER_BODY, "locale": "fr"}
    data = {**examples.EVENT_BODY["data"], "customer": customer}
    decisions = await tell(api, id="e-2", type="booking.rescheduled", data=data)
    assert decisions["rescheduled"]["reason"] == "template-unknown"


async def test_what_is_scheduled_can_be_called_off(api: Api) -> None:
    """The counts are told, a repetition finds nothing, and it is audited."""
    await api.grant()
    await api.call("PUT", REMINDER, json={"template": "booking_confirmed"})
    await tell(api)
    path = "/v1/bookings/B-1001/cancel-scheduled"
    body = {"business_id": "salon-aurora", "reason": "customer called"}
    done = await api.call("POST", path, json=body)
    assert (done.status_code, done.json()) == (200, {"canceled": 2, "already_sent": 0})
    again = await api.call("POST", path, json={}, key="bound")
    assert again.json() == {"canceled": 0, "already_sent": 0}
    statuses = await api.superuser.fetch("SELECT DISTINCT status, reason FROM notification_outbox")
    assert [tuple(row) for row in statuses] == [("canceled", "canceled")]
    said = "SELECT count(*) FROM audit_log WHERE action = 'booking.cancel-scheduled'"
    assert await api.superuser.fetchval(said) == 2


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/bookings/B-1001/cancel-scheduled", "foreign", 404),
        ("/v1/bookings/B-1001/cancel-scheduled", "reader", 403),
        ("/v1/bookings/B-none/cancel-scheduled", "platform", 404),
        ("/v1/bookings/B-%00/cancel-scheduled", "platform", 404),
    ],
)
async def test_bookings_of_others_are_out_of_reach(
    api: Api, path: str, key: str, status: int
) -> None:
    """A foreign booking, an unknown one and a strange one look the same; nothing is stopped."""
    await api.grant()
    await tell(api)
    refused = await api.call("POST", path, key=key, json={"business_id": "salon-aurora"})
    assert refused.status_code == status
    waiting = "SELECT count(*) FROM notification_outbox WHERE phase = 'waiting'"
    assert await api.superuser.fetchval(waiting) == 1
