"""Alerts over the interface: listed, taken on, ended, behind the wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from api_world import make_keys, put_up_business

from core.alerts.store import raise_alert, resolve_alert
from core.ids import ALERT, outward

if TYPE_CHECKING:
    from uuid import UUID

    from api_world import Api


async def raised(api: Api, business_id: UUID | None, kind: str, subject: str = "x") -> str:
    """Raise one and return its id."""
    async with api.services.database.engine() as transaction:
        assert await raise_alert(transaction, business_id, kind, subject, {"reason": "r"})
        row_id = await transaction.fetchval(
            "SELECT id FROM alert WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1",
            kind,
            subject,
        )
    return outward(ALERT, row_id)


async def test_alerts_are_listed_by_page_and_filter(api: Api) -> None:
    """The newest first, in plain words; the platform's own only without a business."""
    first = await raised(api, api.own.id, "channel-suspended", "whatsapp")
    second = await raised(api, api.own.id, "quality-warning", "whatsapp:1")
    platform = await raised(api, None, "webhook-not-applied", "whatsapp")
    foreign = await raised(api, api.foreign.id, "channel-suspended", "whatsapp")

    async def ids(key: str = "platform", **query: str) -> list[str]:
        answer = await api.call("GET", "/v1/alerts", key=key, params=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]

    assert await ids() == [foreign, platform, second, first]
    assert await ids(business_id="salon-aurora") == [second, first]
    assert await ids("bound") == [second, first]
    assert await ids("bound", kind="quality-warning") == [second]
    assert await ids("bound", state="resolved") == []
    assert await ids("bound", created_after="2999-01-01T00:00:00Z") == []
    assert await ids("bound", created_before="2999-01-01T00:00:00Z") == [second, first]
    assert await ids("test") == []
    page = (await api.call("GET", "/v1/alerts", key="bound", params={"limit": "1"})).json()
    assert page["has_more"]
    rest = await ids("bound", limit="1", cursor=page["next_cursor"])
    assert [page["data"][0]["id"], *rest] == [second, first]
    listed = (await api.call("GET", "/v1/alerts")).json()["data"]
    [shown] = [one for one in listed if one["id"] == first]
    assert shown["severity"] == "critical"
    assert shown["about"] == "whatsapp"
    assert shown["business_id"] == "salon-aurora"
    assert shown["state"] == "open"
    assert "stopped" in shown["summary"]
    for query in ({"state": "perhaps"}, {"limit": "0"}, {"cursor": "x"}, {"colour": "red"}):
        assert (await api.call("GET", "/v1/alerts", params=query)).status_code == 422


async def test_an_alert_is_taken_on_once_and_ended(api: Api) -> None:
    """Who and when are kept; twice changes nothing; the trail names both; history stays."""
    one = await raised(api, api.own.id, "quality-low")
    taken = await api.call("POST", f"/v1/alerts/{one}/acknowledge", key="bound")
    assert taken.status_code == 200, taken.text
    told = taken.json()
    assert told["state"] == "acked"
    assert told["acknowledged_by"].startswith("key:")
    assert told["acknowledged_at"]
    again = await api.call("POST", f"/v1/alerts/{one}/acknowledge", json={"reason": "me too"})
    assert again.json() == told
    async with api.services.database.engine() as transaction:
        assert not await raise_alert(transaction, api.own.id, "quality-low", "x")
    ended = await api.call("POST", f"/v1/alerts/{one}/resolve", json={"reason": "mended"})
    assert ended.json()["state"] == "resolved"
    assert ended.json()["resolved_by"].startswith("key:")
    assert ended.json()["acknowledged_by"] == told["acknowledged_by"]
    assert (await api.call("POST", f"/v1/alerts/{one}/resolve")).json() == ended.json()
    late = await api.call("POST", f"/v1/alerts/{one}/acknowledge")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert (await api.call("GET", f"/v1/alerts/{one}", key="bound")).json() == ended.json()
    trail = await api.superuser.fetch("SELECT action FROM audit_log WHERE action LIKE 'alert.%'")
    assert sorted(row["action"] for row in trail) == ["alert.acknowledge", "alert.resolve"]
    another = await raised(api, api.own.id, "quality-low")
    assert another != one


async def test_what_ends_by_itself_names_nobody(api: Api) -> None:
    """`resolved_by` stays empty, also after somebody had taken it on."""
    one = await raised(api, api.own.id, "quality-low")
    await api.call("POST", f"/v1/alerts/{one}/acknowledge")
    async with api.services.database.engine() as transaction:
        assert await resolve_alert(transaction, api.own.id, "quality-low", "x")
    shown = (await api.call("GET", f"/v1/alerts/{one}")).json()
    assert (shown["state"], shown["resolved_by"]) == ("resolved", None)
    assert shown["acknowledged_by"]
    with pytest.raises(Exception, match="stays over"):
        await api.superuser.execute("UPDATE alert SET state = 'open'")


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("POST", "/acknowledge"), ("POST", "/resolve")]
)
async def test_a_foreign_alert_is_not_there(api: Api, method: str, tail: str) -> None:
    """Somebody else's, the platform's, a live one for a test key, and none at all: 404."""
    live = await raised(api, api.own.id, "quality-low")
    platform = await raised(api, None, "webhook-not-applied")
    none = outward(ALERT, api.own.id)
    calls = [
        ("foreign", live),
        ("foreign", platform),
        ("bound", platform),
        ("test", live),
        ("test", platform),
        ("platform", none),
        ("platform", "alr_x"),
    ]
    for key, one in calls:
        answer = await api.call(method, f"/v1/alerts/{one}{tail}", key=key)
        assert answer.status_code == 404, (key, one)
    states = await api.superuser.fetch("SELECT DISTINCT state FROM alert")
    assert [row["state"] for row in states] == ["open"]
    listed = await api.call("GET", "/v1/alerts?business_id=salon-aurora", key="foreign")
    assert listed.status_code == 404


async def test_scopes_are_needed_and_test_keys_see_test_businesses(api: Api) -> None:
    """Reading does not allow to act; who may act may read; a test key works in its own world."""
    tester = await put_up_business(api.services, "salon-test", mode="test")
    one = await raised(api, tester.id, "quality-low")
    kinds: dict[str, Any] = {
        "looks": {"scopes": ["alerts:read"]},
        "acts": {"scopes": ["alerts:write"]},
    }
    api.keys |= await make_keys(api.services, kinds)
    for key, status in (("reader", 403), ("looks", 200), ("acts", 200), ("test", 200)):
        assert (await api.call("GET", f"/v1/alerts/{one}", key=key)).status_code == status
    for key, status in (("reader", 403), ("looks", 403), ("acts", 200), ("test", 200)):
        answer = await api.call("POST", f"/v1/alerts/{one}/acknowledge", key=key)
        assert answer.status_code == status
    assert (await api.call("GET", "/v1/alerts", key=None)).status_code == 401
