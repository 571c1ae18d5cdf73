"""Webhook endpoints over REST: made, changed, rotated, tested, replayed, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from api_world import build_app

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

PATH = "/v1/webhook-endpoints"
URL = "https://93.184.215.14/hooks"


async def add(api: Api, key: str = "bound", **changes: Any) -> dict[str, Any]:
    """Make an endpoint and return the answer."""
    body = {"url": URL, "events": ["notification.*"], **changes}
    answer = await api.call("POST", PATH, key=key, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


async def test_an_endpoint_is_made_read_changed_and_removed(api: Api) -> None:
    """The secret is shown once; every change is audited without the address."""
    made = await add(api)
    assert made["id"].startswith("whe_")
    assert made["secret"].startswith("whsec_")
    assert made["business_id"] == examples.BUSINESS
    path = f"{PATH}/{made['id']}"
    read = await api.call("GET", path, key="bound")
    assert read.status_code == 200
    assert "secret" not in {name for name in read.json() if name != "old_secret_until"}
    assert made["secret"] not in read.text
    changed = await api.call("PATCH", path, key="bound", json={"state": "disabled"})
    assert (changed.json()["state"], changed.json()["reason"]) == ("disabled", "asked")
    assert changed.json()["events"] == ["notification.*"]
    again = await api.call("PATCH", path, key="bound", json={"state": "active", "events": ["*"]})
    assert (again.json()["state"], again.json()["reason"]) == ("active", None)
    listed = await api.call("GET", PATH, key="bound")
    assert [one["id"] for one in listed.json()["data"]] == [made["id"]]
    removed = await api.call("DELETE", path, key="bound")
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await api.call("GET", path, key="bound")).status_code == 404
    lines = await api.superuser.fetch(
        "SELECT action, after::text FROM audit_log WHERE action LIKE 'webhook-endpoint.%' "
        "ORDER BY id"
    )
    assert [line["action"].partition(".")[2] for line in lines] == [
        "add",
        "change",
        "change",
        "remove",
    ]
    assert "93.184" not in str(lines)
    assert made["secret"] not in str(lines)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "http://169.254.169.254/latest"}, "/url"),
        ({"url": "http://127.0.0.1:8000/"}, "/url"),
        ({"url": "http://localhost:8000/"}, "/url"),
        ({"url": "https://user:word@example.com/"}, "/url"),
        ({"url": "https://example.com:6379/"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": ""}, "/url"),
        ({"events": ["notification.gone"]}, "/events"),
        ({"events": []}, "/events"),
        ({"description": "a\nb"}, "/description"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_pointer(
    api: Api, changes: dict[str, Any], pointer: str
) -> None:
    """Inner addresses, logins, ports of other services, unknown events, unknown fields."""
    body = {"url": URL, "events": ["*"], **changes}
    answer = await api.call("POST", PATH, key="bound", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    if pointer in ("/url", "/events"):
        path = f"{PATH}/{(await add(api))['id']}"
        answer = await api.call("PATCH", path, key="bound", json=changes)
        assert answer.status_code == 422, answer.text
    assert await api.superuser.fetchval("SELECT count(*) FROM callback_endpoint") <= 1


async def test_this_machine_is_an_address_outside_production(api: Api) -> None:
    """For tests and the demo."""
    api.app = build_app(replace(api.services, local_callbacks=True))
    await add(api, url="http://127.0.0.1:45123/hooks")


async def test_a_foreign_endpoint_is_like_none(api: Api) -> None:
    """Every call on it answers 404, and nothing of it changes."""
    made = await add(api, key="foreign")
    platform = await add(api, key="platform")
    missing = "whe_" + "a" * 26
    for endpoint in (made["id"], platform["id"], missing, "whe_x", "msg_1"):
        path = f"{PATH}/{endpoint}"
        for method, tail, body in (
            ("GET", "", None),
            ("PATCH", "", {"state": "disabled"}),
            ("DELETE", "", None),
            ("POST", "/rotate-secret", None),
            ("POST", "/test", None),
            ("GET", "/deliveries", None),
            ("POST", "/replay", {"since": "2026-11-01T00:00:00Z"}),
        ):
            answer = await api.call(method, path + tail, key="bound", json=body)
            assert answer.status_code == 404, (method, tail, answer.text)
    states = await api.superuser.fetch("SELECT state, previous_until FROM callback_endpoint")
    assert {tuple(row) for row in states} == {("active", None)}
    assert (await api.call("GET", PATH, key="bound")).json()["data"] == []


async def test_a_test_key_makes_and_sees_test_endpoints_only(api: Api) -> None:
    """The platform's live endpoint is not there for it; its own hears of test businesses."""
    live = await add(api, key="platform")
    own = await add(api, key="test")
    assert (live["mode"], own["mode"]) == ("live", "test")
    assert (await api.call("GET", f"{PATH}/{live['id']}", key="test")).status_code == 404
    listed = (await api.call("GET", PATH, key="test")).json()["data"]
    assert [one["id"] for one in listed] == [own["id"]]
    body = {"url": URL, "events": ["*"], "business_id": examples.BUSINESS}
    assert (await api.call("POST", PATH, key="test", json=body)).status_code == 404


async def test_a_key_without_the_scope_may_nothing(api: Api) -> None:
    """Reading too: who is told what is nobody else's business."""
    for method in ("GET", "POST"):
        assert (await api.call(method, PATH, key="reader")).status_code == 403
        assert (await api.call(method, PATH, key=None)).status_code == 401


async def test_the_platform_makes_endpoints_for_a_business(api: Api) -> None:
    """Named by its id; the business sees it among its own."""
    made = await add(api, key="platform", business_id=examples.BUSINESS)
    assert made["business_id"] == examples.BUSINESS
    assert (await api.call("GET", f"{PATH}/{made['id']}", key="bound")).status_code == 200
    listed = await api.call("GET", PATH, params={"business_id": examples.BUSINESS})
    assert [one["id"] for one in listed.json()["data"]] == [made["id"]]
    assert (await api.call("GET", PATH)).json()["data"] == []
    unknown = {"url": URL, "events": ["*"], "business_id": "salon-none"}
    assert (await api.call("POST", PATH, json=unknown)).status_code == 404


async def test_there_is_a_bound_on_endpoints(api: Api) -> None:
    """The twenty-first is refused: each costs a row per event."""
    for _ in range(20):
        await add(api)
    body = {"url": URL, "events": ["*"]}
    answer = await api.call("POST", PATH, key="bound", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too-many")
    page = (await api.call("GET", PATH, key="bound", params={"limit": "15"})).json()
    assert (len(page["data"]), page["has_more"]) == (15, True)
    rest = await api.call("GET", PATH, key="bound", params={"cursor": page["next_cursor"]})
    assert len(rest.json()["data"]) == 5


async def test_a_secret_is_replaced(api: Api) -> None:
    """A new one each time, and the day until which the old one signs."""
    made = await add(api)
    path = f"{PATH}/{made['id']}"
    rotated = await api.call("POST", f"{path}/rotate-secret", key="bound")
    assert rotated.status_code == 200
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.json()["secret"] not in (made["secret"], "")
    until = rotated.json()["old_secret_until"]
    assert (await api.call("GET", path, key="bound")).json()["old_secret_until"] == until


async def test_a_test_delivery_waits_to_be_sent(api: Api) -> None:
    """It stands in the log of deliveries; a disabled endpoint is not tested and not replayed."""
    made = await add(api)
    path = f"{PATH}/{made['id']}"
    told = await api.call("POST", f"{path}/test", key="bound")
    assert told.status_code == 202
    log = (await api.call("GET", f"{path}/deliveries", key="bound")).json()["data"]
    assert [(one["id"], one["type"], one["state"], one["attempts"]) for one in log] == [
        (told.json()["delivery_id"], "endpoint.test", "waiting", [])
    ]
    assert log[0]["subject"] == f"endpoint/{made['id']}"
    await api.call("PATCH", path, key="bound", json={"state": "disabled"})
    for tail, body in (("/test", None), ("/replay", {"since": "2026-11-01T00:00:00Z"})):
        answer = await api.call("POST", path + tail, key="bound", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_period_is_replayed_whole(api: Api) -> None:
    """Failed ones only, or delivered ones too; under their own ids; nothing outside the period."""
    made = await add(api)
    path = f"{PATH}/{made['id']}"
    await api.superuser.execute(
        """
        INSERT INTO callback_delivery (business_id, endpoint_id, type, subject, occurred_at, state,
                                       attempt, last_status, last_error, tries, ended_at)
        SELECT business_id, id, 'notification.sent', 'message',
               timestamptz '2026-11-20' + n * interval '1 h',
               CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'delivered' END, 8, 500, 'http-500',
               '[{"attempt": 8, "at": "2026-11-20T00:00:00Z", "status": 500,
                  "error": "http-500", "milliseconds": 3}]', now()
        FROM callback_endpoint, generate_series(0, 23) n
        """
    )
    ids = {row["id"] for row in await api.superuser.fetch("SELECT id FROM callback_delivery")}
    failed = await api.call("GET", f"{path}/deliveries", key="bound", params={"state": "failed"})
    assert len(failed.json()["data"]) == 12
    assert failed.json()["data"][0]["attempts"][0]["error"] == "http-500"
    period = {"since": "2026-11-20T06:00:00Z", "until": "2026-11-20T11:00:00Z"}
    first = await api.call("POST", f"{path}/replay", key="bound", json=period)
    assert (first.status_code, first.json()) == (202, {"replayed": 3})
    every = {**period, "only_failed": False}
    second = await api.call("POST", f"{path}/replay", key="bound", json=every)
    assert second.json() == {"replayed": 3}
    waiting = "SELECT id, attempt FROM callback_delivery WHERE state = 'waiting'"
    rows = await api.superuser.fetch(waiting)
    assert len(rows) == 6
    assert {row["attempt"] for row in rows} == {0}
    assert {row["id"] for row in rows} <= ids
    bad = await api.call(
        "POST", f"{path}/replay", key="bound", json={"since": "0001-01-01T00:00:00Z"}
    )
    assert bad.status_code == 422
