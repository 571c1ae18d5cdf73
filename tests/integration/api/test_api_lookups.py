"""Search and overview: what fits everything that is named, and nothing of anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

SEARCH = "/v1/notifications/search"
PHONE = examples.CUSTOMER_BODY["phone"]


async def search(api: Api, key: str = "bound", **body: Any) -> Any:
    """Search with a key."""
    return await api.call("POST", SEARCH, key=key, json=body)


async def test_notifications_are_found_by_phone(api: Api) -> None:
    """Written in any way that the business's country allows; the number shows up nowhere."""
    await api.grant()
    told = (await api.tell()).json()
    for written in (PHONE, "333 123 4567", "0039 333 1234567"):
        found = await search(api, phone=written)
        assert found.status_code == 200, found.text
        assert [one["id"] for one in found.json()["data"]] == [
            told["decisions"][0]["notification_id"]
        ]
        assert PHONE not in found.text
    assert (await search(api, phone="+393339999999")).json()["data"] == []


async def test_a_search_narrows_by_everything_that_is_named(api: Api) -> None:
    """Each filter can be the one that does not fit; pages go on."""
    await api.grant()
    await api.tell()
    await api.tell(id="second", type="booking.rescheduled")
    everything: dict[str, Any] = {
        "phone": PHONE,
        "customer_id": examples.CUSTOMER,
        "booking_ref": examples.BOOKING,
        "created_after": "2020-01-01T00:00:00Z",
        "created_before": "2900-01-01T00:00:00Z",
    }
    assert len((await search(api, **everything)).json()["data"]) == 2
    misses: dict[str, Any] = {
        "customer_id": "cus_other",
        "booking_ref": "B-other",
        "created_after": "2900-01-01T00:00:00Z",
        "created_before": "2020-01-01T00:00:00Z",
        "status": "read",
    }
    for name, value in misses.items():
        found = await search(api, **(everything | {name: value}))
        assert found.json()["data"] == [], name
    first = (await search(api, limit=1)).json()
    assert first["has_more"] is True
    second = (await search(api, limit=1, cursor=first["next_cursor"])).json()
    assert second["has_more"] is False
    assert first["data"][0]["id"] != second["data"][0]["id"]


@pytest.mark.parametrize(
    "body",
    [{"phone": "12"}, {"phone": "me"}, {"status": "gone"}, {"limit": 201}, {"name": "Giulia"}],
)
async def test_a_search_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    """With a pointer to the field."""
    answer = await search(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")
    assert answer.json()["errors"]


async def test_a_search_stays_within_the_callers_business(api: Api) -> None:
    """A foreign one is 404; the same phone at somebody else's is not found."""
    await api.grant()
    await api.tell()
    assert (await search(api, "foreign", business_id=examples.BUSINESS)).status_code == 404
    assert (await search(api, "foreign", phone=PHONE)).json()["data"] == []
    assert (await search(api, "test", business_id=examples.BUSINESS)).status_code == 404
    unnamed = await search(api, "platform", phone=PHONE)
    assert unnamed.status_code == 422, "a key of the platform names the business"


async def test_the_limits_of_all_channels_are_listed(api: Api) -> None:
    """A key of the platform sees every live business, a bound one its own."""
    answer = await api.call("GET", "/v1/limits")
    assert answer.status_code == 200, answer.text
    [lane] = answer.json()["data"]
    assert lane == {
        "business_id": examples.BUSINESS,
        "channel": "whatsapp",
        "state": "active",
        "reason": None,
        "per_minute": 60,
        "per_day": 1000,
        "used_today": 0,
    }
    own = await api.call("GET", "/v1/limits", key="bound")
    assert own.json()["data"] == [lane]
    for key in ("foreign", "test"):
        assert (await api.call("GET", "/v1/limits", key=key)).json()["data"] == []
    asked = {"business_id": examples.BUSINESS}
    assert (await api.call("GET", "/v1/limits", key="foreign", params=asked)).status_code == 404
    assert (await api.call("GET", "/v1/limits", params={"limit": "0"})).status_code == 422
    assert (await api.call("GET", "/v1/limits", key="reader")).status_code == 403
