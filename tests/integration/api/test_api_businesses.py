"""Businesses over the interface: made, changed, listed, and kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api_world import make_keys

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

BODY: dict[str, Any] = dict(examples.BUSINESS_BODY)


async def test_put_makes_and_changes_idempotently(api: Api) -> None:
    """201, then 200; only a real change moves `updated_at` and leaves a line in the audit."""
    made = await api.call("PUT", "/v1/businesses/salon-new", json=BODY)
    assert made.status_code == 201, made.text
    assert made.json()["id"] == "salon-new"
    assert made.json()["mode"] == "live"
    again = await api.call("PUT", "/v1/businesses/salon-new", json=BODY)
    assert (again.status_code, again.json()) == (200, made.json())
    renamed = {**BODY, "name": "Salone Alba"}
    changed = await api.call("PUT", "/v1/businesses/salon-new", json=renamed)
    assert changed.json()["name"] == "Salone Alba"
    assert changed.json()["updated_at"] > made.json()["updated_at"]
    lines = await api.superuser.fetch(
        "SELECT action FROM audit_log WHERE target = 'business:salon-new' ORDER BY id"
    )
    assert [line["action"] for line in lines] == ["business.make", "business.change"]


async def test_unfit_businesses_are_refused(api: Api) -> None:
    """Zone, country, language and name are checked; nothing is stored."""
    before = await api.count("business")
    faults = [
        ({"timezone": "Europe/Roma"}, "/timezone"),
        ({"country": "XX"}, "/country"),
        ({"country": "it"}, "/country"),
        ({"default_locale": "italian"}, "/default_locale"),
        ({"name": "  "}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": 1}, "/name"),
        ({"colour": "red"}, "/colour"),
    ]
    for change, pointer in faults:
        refused = await api.call("PUT", "/v1/businesses/salon-x", json={**BODY, **change})
        assert refused.status_code == 422, (change, refused.text)
        assert refused.json()["errors"][0]["pointer"] == pointer
    unfit = await api.call("PUT", "/v1/businesses/salon%20x", json=BODY)
    assert unfit.status_code == 422
    assert await api.count("business") == before


async def test_a_bound_key_changes_its_own_business_only(api: Api) -> None:
    """It makes none, and a foreign one looks like none."""
    own = await api.call("PUT", "/v1/businesses/salon-aurora", key="bound", json=BODY)
    assert own.status_code == 200
    for ref in ("salon-foreign", "salon-none"):
        refused = await api.call("PUT", f"/v1/businesses/{ref}", key="bound", json=BODY)
        assert refused.status_code == 404
        read = await api.call("GET", f"/v1/businesses/{ref}", key="bound")
        assert read.status_code == 404
    assert await api.count("business") == 2


async def test_a_test_key_lives_among_test_businesses(api: Api) -> None:
    """It makes test businesses and sees no live one."""
    made = await api.call("PUT", "/v1/businesses/sandbox", key="test", json=BODY)
    assert (made.status_code, made.json()["mode"]) == (201, "test")
    taken = await api.call("PUT", "/v1/businesses/salon-aurora", key="test", json=BODY)
    assert taken.status_code == 404
    kinds = {"bound-test": {"scopes": ["*"], "business_id": api.own.id}}
    made_keys = await make_keys(api.services, kinds)
    # Such a key cannot be made; if one were there all the same, it would open nothing.
    await api.superuser.execute("UPDATE api_key SET mode = 'test' WHERE name = 'bound-test'")
    api.keys["bound-test"] = made_keys["bound-test"].replace("pb_live", "pb_test")
    bound = await api.call("GET", "/v1/businesses/salon-aurora", key="bound-test")
    assert bound.status_code == 404
    listed = await api.call("GET", "/v1/businesses", key="test")
    assert [one["id"] for one in listed.json()["data"]] == ["sandbox"]


async def test_lists_come_in_pages_by_cursor(api: Api) -> None:
    """Every business once, the newest first, however the pages are cut."""
    for number in range(3):
        await api.call("PUT", f"/v1/businesses/more-{number}", json=BODY)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.call("GET", f"/v1/businesses?limit=2{cursor}")).json()
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            assert page["next_cursor"] is None
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["more-2", "more-1", "more-0", "salon-foreign", "salon-aurora"]
    own = await api.call("GET", "/v1/businesses", key="bound")
    assert [one["id"] for one in own.json()["data"]] == ["salon-aurora"]


async def test_unfit_pages_are_refused(api: Api) -> None:
    """A limit beyond 200, a made-up cursor, a repeated and an unknown parameter."""
    for query in ("limit=0", "limit=201", "limit=x", "cursor=abc", "limit=1&limit=2", "offset=5"):
        refused = await api.call("GET", f"/v1/businesses?{query}")
        assert refused.status_code == 422, query
        name = query.partition("=")[0]
        assert refused.json()["errors"][0]["pointer"] == f"?{name}"


async def test_channels_show_connection_and_limits(api: Api) -> None:
    """A connected channel shows its caps; one without a connection says so."""
    read = await api.call("GET", "/v1/businesses/salon-aurora/channels", key="bound")
    assert read.status_code == 200
    channels = {one["channel"]: one for one in read.json()["data"]}
    assert channels["whatsapp"]["status"] == "active"
    assert channels["whatsapp"]["limits"] == {
        "per_minute": 60,
        "per_day": 1000,
        "used_today": 0,
    }
    assert channels["whatsapp"]["suspended"] is None
    assert channels["console"]["status"] == "not-connected"
    path = "/v1/businesses/salon-aurora/channels"
    assert (await api.call("GET", path, key="foreign")).status_code == 404
