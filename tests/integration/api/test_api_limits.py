"""Limits and the kill switch over the interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from api_world import Api

LIMITS = "/v1/businesses/salon-aurora/limits"
DEFAULTS = {
    "per_minute": 60,
    "per_day": 1000,
    "per_recipient_day": 20,
    "suspend_percent": 50,
    "suspend_window": 50,
    "suspend_minimum": 20,
    "quality_stop": "RED",
    "retry_base_seconds": 30,
    "retry_factor": 2,
    "retry_jitter_percent": 25,
    "retries": 5,
    "grace_seconds": 120,
    "unconfirmed": "hold",
}


async def test_limits_are_read_and_changed_as_a_whole(api: Api) -> None:
    """What is left out goes back to its default; lanes and the trail follow in one step."""
    read = await api.call("GET", LIMITS, key="bound")
    assert (read.status_code, read.json()) == (200, DEFAULTS)
    changed = await api.call("PUT", LIMITS, key="bound", json={"per_minute": 7, "per_day": 9})
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**DEFAULTS, "per_minute": 7, "per_day": 9}
    lane = await api.superuser.fetchrow("SELECT cap_minute, cap_day FROM lane")
    assert tuple(lane) == (7, 9)
    assert api.ring.woken == [(api.own.id, "whatsapp")]
    back = await api.call("PUT", LIMITS, json={"per_day": 9})
    assert back.json() == {**DEFAULTS, "per_day": 9}
    lines = await api.superuser.fetch("SELECT actor FROM audit_log WHERE action='limits.change'")
    assert len(lines) == 2


async def test_a_stale_tag_is_refused(api: Api) -> None:
    """Who has read an older state learns it, and nothing is changed."""
    tag = (await api.call("GET", LIMITS)).headers["etag"]
    first = await api.call("PUT", LIMITS, json={"per_minute": 7}, headers={"If-Match": tag})
    assert first.status_code == 200
    stale = await api.call("PUT", LIMITS, json={"per_minute": 8}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed-meanwhile")
    new = {"If-Match": first.headers["etag"]}
    assert (await api.call("PUT", LIMITS, json={"per_minute": 8}, headers=new)).status_code == 200


async def test_unfit_limits_are_refused(api: Api) -> None:
    """Each fault is pointed at; nothing is stored."""
    for body, pointer in (
        ({"per_minute": 0}, "/per_minute"),
        ({"per_day": -1}, "/per_day"),
        ({"suspend_percent": 101}, "/suspend_percent"),
        ({"suspend_window": 1001}, "/suspend_window"),
        ({"unconfirmed": "perhaps"}, "/unconfirmed"),
        ({"quality_stop": "GREEN"}, "/quality_stop"),
        ({"retries": 6}, "/retries"),
        ({"per_hour": 3}, "/per_hour"),
    ):
        refused = await api.call("PUT", LIMITS, json=body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"] == pointer
    assert (await api.call("GET", LIMITS)).json() == DEFAULTS


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "limits"),
        ("PUT", "limits"),
        ("POST", "pause"),
        ("POST", "resume"),
        ("POST", "channels/whatsapp/pause"),
        ("POST", "channels/whatsapp/resume"),
    ],
)
async def test_a_foreign_business_is_not_there(api: Api, method: str, path: str) -> None:
    """Limits and switches of somebody else's business are 404, and nothing happens."""
    body = {} if method == "GET" else {"json": {}}
    answer = await api.call(method, f"/v1/businesses/salon-aurora/{path}", key="foreign", **body)
    assert answer.status_code == 404
    assert await api.count("sending_pause") == 0


@pytest.mark.parametrize("path", ["", "channels/whatsapp/"])
async def test_a_business_is_paused_and_resumed(api: Api, path: str) -> None:
    """The lane stops and runs again; the channel list says why it stands."""
    base = f"/v1/businesses/salon-aurora/{path}"
    paused = await api.call("POST", f"{base}pause", key="bound", json={"reason": "holidays"})
    assert paused.status_code == 200, paused.text
    assert paused.json()["changed"] is True
    [one] = paused.json()["pauses"]
    assert (one["business_id"], one["reason"]) == ("salon-aurora", "holidays")
    assert one["channel"] == ("whatsapp" if path else None)
    listed = await api.call("GET", "/v1/businesses/salon-aurora/channels")
    assert {c["channel"]: c["suspended"] for c in listed.json()["data"]}["whatsapp"] == "paused"
    resumed = await api.call("POST", f"{base}resume", key="bound")
    assert resumed.json() == {"changed": True, "pauses": []}
    assert api.ring.woken == [(api.own.id, "whatsapp")]
    again = await api.call("POST", f"{base}resume", key="bound")
    assert again.json()["changed"] is False


async def test_an_unknown_channel_is_not_there(api: Api) -> None:
    """A switch for a channel that this host does not have is 404."""
    for word in ("pause", "resume"):
        path = f"/v1/businesses/salon-aurora/channels/pigeon/{word}"
        assert (await api.call("POST", path)).status_code == 404


async def test_everything_is_paused_by_the_platform_only(api: Api) -> None:
    """Keys of a business and test keys are refused; a platform key stops and frees all."""
    for key in ("bound", "test"):
        refused = await api.call("POST", "/v1/pause", key=key)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
    assert (await api.call("POST", "/v1/pause", json={"channel": "pigeon"})).status_code == 404
    paused = await api.call("POST", "/v1/pause", json={"channel": "whatsapp", "reason": "storm"})
    assert [one["channel"] for one in paused.json()["pauses"]] == ["whatsapp"]
    states = await api.superuser.fetch("SELECT state FROM lane")
    assert {row["state"] for row in states} == {"killed"}
    freed = await api.call("POST", "/v1/resume", json={"channel": "whatsapp"})
    assert freed.json() == {"changed": True, "pauses": []}
    states = await api.superuser.fetch("SELECT state FROM lane")
    assert {row["state"] for row in states} == {"active"}


async def test_scopes_are_needed(api: Api) -> None:
    """A key that only reads notifications changes nothing here."""
    for method, path in (
        ("PUT", LIMITS),
        ("POST", "/v1/pause"),
        ("POST", "/v1/businesses/salon-aurora/pause"),
    ):
        assert (await api.call(method, path, key="reader", json={})).status_code == 403
