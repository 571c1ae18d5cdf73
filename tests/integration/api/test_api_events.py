"""Telling events, and reading what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.api import examples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from api_world import Api

WRONG: list[tuple[str, Any, str]] = [
    ("type", "booking.exploded", "/type"),
    ("id", 7, "/id"),
    ("id", "two words", "/id"),
    ("surprise", 1, "/surprise"),
    ("data.surprise", 1, "/data/surprise"),
    ("data.booking.ref", "x" * 65, "/data/booking/ref"),
    ("data.booking.ref", "B-1\n", "/data/booking/ref"),
    ("data.booking.version", "1", "/data/booking/version"),
    ("data.booking.version", -1, "/data/booking/version"),
    ("data.booking.starts_at", "2027-03-23T10:30:00", "/data/booking/starts_at"),
    ("data.booking.starts_at", "0001-01-01T00:00:00+14:00", "/data/booking/starts_at"),
    ("data.booking.starts_at", None, "/data/booking/starts_at"),
    ("data.booking", None, "/data/booking"),
    ("data.customer.phone", "333 12", "/data/customer/phone"),
    ("data.customer.locale", "italiano", "/data/customer/locale"),
    ("data.customer.timezone", "Europe/Roma", "/data/customer/timezone"),
    ("data.customer.email", "nobody", "/data/customer/email"),
    ("data.customer.first_name", "Giu\u0000lia", ""),
    ("specversion", "0.3", "/specversion"),
    ("time", "yesterday", "/time"),
]

UNREADABLE: list[tuple[bytes, str, int]] = [
    (b'{"id":', "application/json", 400),
    (b"", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b"[" * 30_000, "application/json", 400),
    (b'{"id":"\\ud800"}', "application/json", 400),
    (b"[]", "application/json", 422),
    (b"null", "application/json", 422),
    (b"{}", "text/plain", 415),
    (b"{}", "application/cloudevents-batch+json", 415),
    (b" " * 70_000, "application/json", 413),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the examples' event with one field changed, for example `data.booking.ref`."""
    *parents, last = path.split(".")

    def copy(body: dict[str, Any], steps: list[str]) -> dict[str, Any]:
        if not steps:
            return {**body, last: value}
        return {**body, steps[0]: copy(body[steps[0]], steps[1:])}

    return copy(examples.EVENT_BODY, parents)


async def test_a_told_event_is_stored_decided_and_queued(api: Api) -> None:
    """202, a location, and a decision that names the notification; the lane is woken."""
    await api.grant()
    told = await api.tell()
    assert told.status_code == 202, told.text
    body = told.json()
    assert body["status"] == "accepted"
    assert body["duplicate"] is False
    assert told.headers["location"] == f"/v1/events/{body['id']}"
    decision = body["decisions"][0]
    assert decision["outcome"] == "queued", decision
    assert decision["notification_id"].startswith("ntf_")
    assert api.ring.woken == [(api.own.id, "whatsapp")]
    assert await api.count("notification_outbox") == 1


async def test_without_consent_the_answer_is_a_decision_not_an_error(api: Api) -> None:
    """The booking system need not know who agreed: 202, suppressed, with the reason."""
    body = (await api.tell()).json()
    decision = body["decisions"][0]
    assert (decision["outcome"], decision["reason"]) == ("suppressed", "consent-missing")
    assert decision["notification_id"].startswith("dec_")
    assert await api.count("notification_outbox") == 0


async def test_the_same_event_again_gets_the_same_answer(api: Api) -> None:
    """200, duplicate, the same id and decisions; nothing is queued twice."""
    await api.grant()
    first, again = await api.tell(), await api.tell()
    assert again.status_code == 200
    assert again.json() == {**first.json(), "duplicate": True}
    assert await api.count("notification_outbox") == 1


async def test_the_same_id_with_another_body_is_refused(api: Api) -> None:
    """An id stands for one body."""
    await api.tell()
    other = await api.call("POST", "/v1/events", json=changed("data.booking.ref", "B-2"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
    assert await api.count("event") == 1


async def test_the_two_shapes_are_the_same_event(api: Api) -> None:
    """A CloudEvent with the same id and content is the plain event again."""
    await api.tell()
    cloud = {**examples.EVENT_BODY, "specversion": "1.0", "subject": "booking/B-1001"}
    again = await api.call(
        "POST",
        "/v1/events",
        json=cloud,
        headers={"Content-Type": "application/cloudevents+json; charset=utf-8"},
    )
    assert (again.status_code, again.json()["duplicate"]) == (200, True)


async def test_a_bound_key_may_leave_the_business_out(api: Api) -> None:
    """The key says whose booking it is."""
    data = {k: v for k, v in examples.EVENT_BODY["data"].items() if k != "business_id"}
    assert (await api.tell(key="bound", data=data)).status_code == 202
    missing = await api.tell(key="platform", data=data)
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["pointer"] == "/data/business_id"


@pytest.mark.parametrize("key", ["foreign", "test"])
async def test_a_foreign_business_looks_like_none(api: Api, key: str) -> None:
    """A key bound elsewhere, and a test key for a live business, get the answer of nothing."""
    foreign = await api.tell(key=key)
    nothing = await api.call(
        "POST", "/v1/events", json=changed("data.business_id", "no-such"), key="platform"
    )
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.json()["code"] == nothing.json()["code"] == "not-found"
    assert await api.count("event") == 0
    refused = await api.superuser.fetch("SELECT action FROM audit_log")
    assert any(row["action"].startswith("refused:") for row in refused)


async def test_what_is_wrong_is_pointed_at(api: Api) -> None:
    """Each fault is a 422 whose first entry points at the field; nothing is stored."""
    for path, value, pointer in WRONG:
        refused = await api.call("POST", "/v1/events", json=changed(path, value))
        assert refused.status_code == 422, (pointer, refused.text)
        assert refused.headers["content-type"] == "application/problem+json"
        body = refused.json()
        assert body["code"] == "validation"
        assert body["errors"][0]["pointer"] == pointer, body
        assert await api.count("event") == 0


async def test_an_unknown_type_names_the_known_ones(api: Api) -> None:
    """A caller learns what it could have meant."""
    refused = await api.tell(type="booking.exploded")
    assert "booking.confirmed" in refused.json()["errors"][0]["message"]


async def test_every_semantic_fault_is_named_at_once(api: Api) -> None:
    """A caller need not mend one fault to learn of the next."""
    customer = {"id": "c", "phone": "1", "locale": "?", "timezone": "?", "email": "?"}
    data = {**examples.EVENT_BODY["data"], "customer": customer}
    refused = (await api.tell(data=data)).json()
    assert {one["pointer"].rsplit("/", 1)[1] for one in refused["errors"]} == {
        "phone",
        "locale",
        "timezone",
        "email",
    }


async def test_bodies_that_cannot_be_read(api: Api) -> None:
    """Broken JSON is 400, another shape 422, another kind 415, too much 413."""
    for content, media_type, status in UNREADABLE:
        answer = await api.call(
            "POST", "/v1/events", content=content, headers={"Content-Type": media_type}
        )
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == status


async def test_a_body_that_does_not_say_its_size_is_cut_off(api: Api) -> None:
    """Chunk after chunk: 413 at the limit, not after the last one."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 1024

    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    answer = await api.call("POST", "/v1/events", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert sent < 100


async def test_a_dry_run_tells_everything_and_writes_nothing(api: Api) -> None:
    """Every check and the text are shown, without ids; afterwards it can be told for real."""
    await api.grant()
    tables = ("event", "decision", "notification_outbox", "booking_plan", "customer")
    before = {table: await api.count(table) for table in tables}
    asked = await api.call("POST", "/v1/events?dry_run=true", json=examples.EVENT_BODY)
    assert asked.status_code == 200, asked.text
    body = asked.json()
    assert (body["id"], body["status"], body["duplicate"]) == (None, "dry-run", False)
    decision = body["decisions"][0]
    assert (decision["outcome"], decision["notification_id"]) == ("queued", None)
    assert decision["rendered"] == "Ciao Giulia, Salone Aurora: mar 23 mar 10:30"
    assert decision["language"] == "it"
    assert {one["result"] for one in decision["checks"]} == {"pass"}
    assert {table: await api.count(table) for table in tables} == before
    assert api.ring.woken == []
    said = await api.superuser.fetchrow("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")
    assert (said["action"], said["target"]) == ("event.dry-run", "booking:B-1001")
    assert (await api.tell()).status_code == 202
    again = (await api.call("POST", "/v1/events?dry_run=true", json=examples.EVENT_BODY)).json()
    assert (again["id"], again["duplicate"]) == (None, True)


async def test_a_message_shows_the_clock_of_the_business(api: Api) -> None:
    """A customer who lives elsewhere comes at the salon's half past ten, in their own words."""
    await api.grant()
    customer = {**examples.CUSTOMER_BODY, "timezone": "America/New_York", "locale": "it"}
    data = {**examples.EVENT_BODY["data"], "customer": customer}
    body = {**examples.EVENT_BODY, "data": data}
    shown = (await api.call("POST", "/v1/events?dry_run=true", json=body)).json()
    assert shown["decisions"][0]["rendered"] == "Ciao Giulia, Salone Aurora: mar 23 mar 10:30"


async def test_a_dry_run_refuses_what_the_real_one_would(api: Api) -> None:
    """A foreign business, another body under a known id, a word that is no yes or no."""
    path = "/v1/events?dry_run=true"
    foreign = await api.call("POST", path, key="foreign", json=examples.EVENT_BODY)
    assert foreign.status_code == 404
    await api.tell()
    other = await api.call("POST", path, json=changed("data.booking.ref", "B-2"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
    odd = await api.call("POST", "/v1/events?dry_run=perhaps", json=examples.EVENT_BODY)
    assert (odd.status_code, odd.json()["errors"][0]["pointer"]) == (422, "?dry_run")


async def test_an_event_can_be_read_again(api: Api) -> None:
    """By its id and by its booking, with the state its notifications have now."""
    await api.grant()
    told = (await api.tell()).json()
    read = await api.call("GET", f"/v1/events/{told['id']}")
    assert read.status_code == 200
    body = read.json()
    assert (body["external_id"], body["booking_ref"]) == (examples.EVENT_BODY["id"], "B-1001")
    assert body["decisions"][0]["status"] == "queued"
    listed = await api.call("GET", "/v1/events?booking_ref=B-1001", key="bound")
    assert listed.json()["data"] == [body]
    assert listed.json()["has_more"] is False
    foreign = await api.call("GET", f"/v1/events/{told['id']}", key="foreign")
    assert foreign.status_code == 404
    theirs = await api.call("GET", "/v1/events?booking_ref=B-1001", key="foreign")
    assert theirs.json()["data"] == []


@pytest.mark.parametrize(
    "path", ["/v1/events/evt_unknown", "/v1/events/ntf_" + "a" * 26, f"/v1/events/{'x' * 300}"]
)
async def test_ids_that_cannot_be_ours_are_not_found(api: Api, path: str) -> None:
    """A malformed id looks like a missing one."""
    assert (await api.call("GET", path)).status_code == 404
