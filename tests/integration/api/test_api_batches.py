"""Events in batches: each is answered as it would have been alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from core.api import examples

if TYPE_CHECKING:
    import httpx
    from api_world import Api

PATH = "/v1/events/batch"


def event(mark: str, **changes: Any) -> dict[str, Any]:
    """Return the examples' event under another name, about a booking of its own."""
    booking = {**examples.BOOKING_BODY, "ref": f"B-{mark}", **changes.pop("booking", {})}
    data = {**examples.EVENT_BODY["data"], "booking": booking, **changes.pop("data", {})}
    return {**examples.EVENT_BODY, "id": mark, "data": data, **changes}


async def send(api: Api, *events: Any, key: str = "platform", query: str = "") -> httpx.Response:
    """Tell a batch."""
    return await api.call("POST", PATH + query, key=key, json={"events": list(events)})


async def test_each_event_gets_its_own_answer(api: Api) -> None:
    """New, told before, not valid, a business that is not there: side by side, in their order."""
    await api.grant()
    await api.tell()
    before = await api.count("event")
    answer = await send(
        api,
        event("new"),
        examples.EVENT_BODY,
        event("odd", type="booking.exploded"),
        event("lost", data={"business_id": "no-such"}),
        {"id": 7},
        event("nul", source="/boo\0king"),
        [],
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], body["failed"]) == (2, 5)
    items = body["items"]
    assert [one["index"] for one in items] == list(range(7))
    assert [one["status"] for one in items] == [202, 200, 422, 404, 422, 422, 422]
    assert items[0]["id"].startswith("evt_")
    assert set(items[0]) == {"index", "status", "id"}
    assert items[1]["duplicate"] is True
    assert set(items[2]) == {"index", "status", "problem"}
    problem = items[2]["problem"]
    assert (problem["code"], problem["status"]) == ("validation", 422)
    assert problem["errors"][0]["pointer"] == "/type"
    assert items[3]["problem"]["code"] == "not-found"
    assert items[4]["problem"]["errors"][0]["pointer"] == "/id"
    assert await api.count("event") == before + 1
    assert (api.own.id, "whatsapp") in api.ring.woken


async def test_the_same_batch_again_is_all_duplicates(api: Api) -> None:
    """A call that was cut off is repeated: nothing is queued twice, the ids are the same."""
    await api.grant()
    events = [event(f"e-{n}") for n in range(20)]
    first, again = (await send(api, *events)).json(), (await send(api, *events)).json()
    assert [one["status"] for one in first["items"]] == [202] * 20
    assert [one["status"] for one in again["items"]] == [200] * 20
    assert [one["id"] for one in first["items"]] == [one["id"] for one in again["items"]]
    assert again["accepted"] == 20
    assert await api.count("notification_outbox") == 20


async def test_one_name_twice_in_a_batch(api: Api) -> None:
    """The same again is a duplicate, with another body it is refused; the others go through."""
    body = (
        await send(api, event("one"), event("one"), event("one", booking={"ref": "B-9"}))
    ).json()
    assert [one["status"] for one in body["items"]] == [202, 200, 422]
    assert body["items"][0]["id"] == body["items"][1]["id"]
    assert body["items"][2]["problem"]["code"] == "idempotency-mismatch"
    assert await api.count("event") == 1


async def test_events_of_one_booking_follow_each_other(api: Api) -> None:
    """Told, moved and called off in one call: what waits at the end is the notice of the end."""
    await api.grant()
    steps = [
        event(kind, type=f"booking.{kind}", booking={"ref": "B-1", "version": version})
        for version, kind in enumerate(("confirmed", "rescheduled", "canceled"), 1)
    ]
    body = (await send(api, *steps)).json()
    assert body["accepted"] == 3
    rows = await api.superuser.fetch(
        "SELECT template_name FROM notification_outbox WHERE phase = 'waiting'"
    )
    assert [row["template_name"] for row in rows] == ["booking_canceled"]


async def test_a_batch_may_hold_several_businesses(api: Api) -> None:
    """A key of the platform tells of all of them; a bound key of its own only."""
    mixed = [event("own"), event("theirs", data={"business_id": "salon-foreign"})]
    foreign = (await send(api, *mixed, key="bound")).json()
    assert [one["status"] for one in foreign["items"]] == [202, 404]
    assert await api.count("event") == 1
    refused = await api.superuser.fetch("SELECT action FROM audit_log")
    assert any(row["action"].startswith("refused:") for row in refused)
    both = (await send(api, *mixed)).json()
    assert [one["status"] for one in both["items"]] == [200, 202]
    test = (await send(api, *mixed, key="test")).json()
    assert [one["status"] for one in test["items"]] == [404, 404]


async def test_a_bound_key_may_leave_the_business_out_of_a_batch(api: Api) -> None:
    """The key says whose bookings they are; a key of the platform must say it."""
    silent = event("one", data={"business_id": None})
    assert (await send(api, silent, key="bound")).json()["items"][0]["status"] == 202
    item = (await send(api, silent)).json()["items"][0]
    assert item["problem"]["errors"][0]["pointer"] == "/data/business_id"


async def test_a_dry_run_of_a_batch_writes_nothing(api: Api) -> None:
    """Every text is shown, each event as after the ones before it; one audit line is left."""
    await api.grant()
    tables = ("event", "decision", "notification_outbox", "booking_plan")
    before = {table: await api.count(table) for table in tables}
    steps = [
        event("one"),
        event("one"),
        event("two", type="booking.rescheduled", booking={"ref": "B-one", "version": 2}),
        event("odd", type="booking.exploded"),
    ]
    body = (await send(api, *steps, query="?dry_run=true")).json()
    assert [one["status"] for one in body["items"]] == [200, 200, 200, 422]
    assert all("id" not in one for one in body["items"])
    first = body["items"][0]["decisions"][0]
    assert (first["notification_id"], first["outcome"]) == (None, "queued")
    assert first["rendered"].startswith("Ciao Giulia")
    assert body["items"][1]["duplicate"] is True
    assert body["items"][2]["decisions"][0]["rule"] == "rescheduled"
    assert {table: await api.count(table) for table in tables} == before
    assert api.ring.woken == []
    said = await api.superuser.fetchrow("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")
    assert (said["action"], said["target"]) == ("event.dry-run", "batch")


async def test_a_batch_of_another_shape_is_refused_whole(api: Api) -> None:
    """Too many, none, no list, unknown fields, too large, no scope: nothing is taken in."""
    wrong: list[tuple[Any, str]] = [
        ({"events": []}, "/events"),
        ({"events": [{}] * 501}, "/events"),
        ({"events": {}}, "/events"),
        ({"events": [{}], "more": 1}, "/more"),
        ({}, "/events"),
    ]
    for body, pointer in wrong:
        answer = await api.call("POST", PATH, json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    for content, status in ((b"[", 400), (b"[" * 30_000, 400), (b" " * 1_100_000, 413)):
        headers = {"Content-Type": "application/json"}
        answer = await api.call("POST", PATH, content=content, headers=headers)
        assert answer.status_code == status
    assert (await send(api, event("one"), key="reader")).status_code == 403
    assert (await send(api, event("one"), query="?dry_run=perhaps")).status_code == 422
    padded = [event(f"e-{n}", subject="x" * 200) for n in range(300)]
    large = await send(api, *padded, key="bound")
    assert int(large.request.headers["content-length"]) > 64 * 1024
    assert large.json()["accepted"] == 300


async def test_rival_batches_of_the_same_bookings_end_well(api: Api) -> None:
    """Told at once in opposite orders: each event is stored once, whoever was first."""
    events = [
        event(
            f"{kind}-{n}",
            type=f"booking.{kind}",
            booking={"ref": f"B-{n}", "version": version},
        )
        for n in range(6)
        for version, kind in enumerate(("confirmed", "rescheduled"), 1)
    ]
    answers = await asyncio.gather(send(api, *events), send(api, *reversed(events)))
    for answer in answers:
        assert answer.status_code == 200
        assert {one["status"] for one in answer.json()["items"]} <= {200, 202}
    assert await api.count("event") == 12
    versions = await api.superuser.fetch("SELECT booking_version FROM booking_plan")
    assert [row["booking_version"] for row in versions] == [2] * 6
