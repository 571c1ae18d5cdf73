"""The calls of the sandbox: the clock, a customer's words, the messages; for test keys alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_world import make_keys

from core.api import examples
from core.notify import delivery

if TYPE_CHECKING:
    from trial_world import Trial

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/sandbox/clock/advance", {"json": {"by": "PT1H"}}),
    ("POST", "/v1/sandbox/inbound", {"json": {"from": "+12025550100", "text": "Hello"}}),
    ("GET", "/v1/sandbox/messages", {}),
    ("POST", "/v1/sandbox/reset", {"json": {}}),
]


def naming(ref: str, more: dict[str, Any]) -> dict[str, Any]:
    """Add the business to a call."""
    if "json" in more:
        return {"json": {**more["json"], "business_id": ref}}
    return {"params": {"business_id": ref}}


@pytest.mark.parametrize(("method", "path", "more"), CALLS)
async def test_only_a_test_key_reaches_only_its_own_test_business(
    trial: Trial, method: str, path: str, more: dict[str, Any]
) -> None:
    """A live key is 403, a foreign, a live and a missing business are the same 404."""
    live = await trial.call(method, path, key="platform", **naming(examples.BUSINESS, more))
    assert (live.status_code, live.json()["code"]) == (403, "scope-missing")
    theirs = naming(examples.TRIAL, more)
    answers = [
        await trial.call(method, path, key="stranger", **theirs),
        await trial.call(method, path, **naming(examples.BUSINESS, more)),
        await trial.call(method, path, **naming("nobody", more)),
    ]
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "not-found")}
    unnamed = await trial.call(method, path, **more)
    assert unnamed.status_code == 422, "a key of the platform names the business"
    own = await trial.call(method, path, key="stranger", **more)
    assert own.status_code in (200, 202), own.text


@pytest.mark.parametrize("by", ["PT0S", "-PT1H", "P401D", "P1M", "24h", "PT0.5S"])
async def test_a_duration_that_makes_no_sense_is_refused(trial: Trial, by: str) -> None:
    """The clock goes forward, by a second to 400 days."""
    body = {"business_id": examples.TRIAL, "by": by}
    answer = await trial.call("POST", "/v1/sandbox/clock/advance", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")


async def test_the_clock_brings_the_reminders(trial: Trial) -> None:
    """A booking in three days: confirmed now, reminded two days later and again before it."""
    await trial.confirmation("00")
    assert await trial.work() == 1
    await trial.advance("PT47H")
    assert await trial.work() == 0
    moved = await trial.advance("PT2H")
    assert moved["ahead_seconds"] == 49 * 3600
    ahead = datetime.fromisoformat(moved["now"]) - datetime.now(UTC)
    assert timedelta(hours=48, minutes=58) < ahead < timedelta(hours=49, minutes=1)
    assert await trial.work() == 1
    await trial.advance("PT21H30M")
    assert await trial.work() == 1
    shown = await trial.call("GET", "/v1/sandbox/messages", params={"business_id": examples.TRIAL})
    assert [one["template"] for one in shown.json()["data"]] == [
        "reminder_2h",
        "reminder_24h",
        "booking_confirmed",
    ]


async def test_events_are_decided_by_the_moved_clock(trial: Trial) -> None:
    """After two days a booking in the old "tomorrow" lies in the past: no reminder is planned."""
    await trial.agree("00")
    await trial.advance("P2D")
    soon = datetime.now(UTC) + timedelta(days=2, hours=12)
    told = await trial.tell("00", starts_at=soon)
    outcomes = {one["template"]: one["outcome"] for one in told["decisions"]}
    assert outcomes["reminder_24h"] == "suppressed"
    assert outcomes["reminder_2h"] == "scheduled"
    assert await trial.work() == 1
    await trial.advance("PT10H1M")
    assert await trial.work() == 1, "the reminder came two hours before the start"


async def test_what_is_no_longer_useful_expires_with_the_clock(trial: Trial) -> None:
    """A clock moved past the start sends nothing that was planned before it."""
    await trial.confirmation("00")
    await trial.advance("P4D")
    assert await trial.work() == 0
    await delivery.sweep(trial.services)
    reasons = await trial.api.superuser.fetch("SELECT status, reason FROM notification_outbox")
    assert {(row["status"], row["reason"]) for row in reasons} == {("canceled", "expired")}


async def test_a_new_day_begins_its_counts_anew(trial: Trial) -> None:
    """The limit of a day is kept by the moved clock."""
    run = trial.api.superuser.execute
    await run("UPDATE lane SET cap_day = 1 WHERE business_id = $1", trial.business.id)
    await trial.confirmation("00")
    await trial.confirmation("01")
    assert await trial.work() == 1
    assert await trial.work() == 0
    await trial.advance("P1D")
    assert await trial.work() == 1


async def test_another_business_keeps_its_time(trial: Trial) -> None:
    """Not the live one's, not the other test one's."""
    query = "SELECT ref, clock_ahead_seconds FROM business ORDER BY ref"
    await trial.advance("PT5H")
    rows = await trial.api.superuser.fetch(query)
    assert {row["ref"]: row["clock_ahead_seconds"] for row in rows} == {
        examples.BUSINESS: 0,
        "salon-other": 0,
        examples.TRIAL: 5 * 3600,
    }


async def test_a_customer_writes(trial: Trial) -> None:
    """The words take the way of the provider's: logged, joined with what they answer."""
    confirmation = await trial.confirmation("00")
    await trial.work()
    body = {
        "business_id": examples.TRIAL,
        "from": "+1 202 555 0100",
        "text": "Thank you",
        "answers": confirmation,
    }
    answer = await trial.call("POST", "/v1/sandbox/inbound", json=body)
    assert answer.status_code == 202, answer.text
    await trial.hear()
    row = await trial.api.superuser.fetchrow(
        "SELECT * FROM whatsapp_message_log WHERE direction = 'inbound'"
    )
    assert row["provider_message_id"] == answer.json()["provider_message_id"]
    assert row["customer_id"] is not None
    assert row["notification_id"] is not None
    shown = await trial.call(
        "GET", "/v1/sandbox/messages", params={"business_id": examples.TRIAL, "limit": "1"}
    )
    page = shown.json()
    assert (page["data"][0]["text"], page["data"][0]["direction"]) == ("Thank you", "inbound")
    assert page["has_more"] is True
    rest = {"business_id": examples.TRIAL, "cursor": page["next_cursor"]}
    second = await trial.call("GET", "/v1/sandbox/messages", params=rest)
    assert [one["direction"] for one in second.json()["data"]] == ["outbound"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"from": "12"}, 422),
        ({"from": "no number"}, 422),
        ({"channel": "telepathy"}, 404),
        ({"answers": "ntf_00000000000000000000000000"}, 404),
        ({"answers": "cns_1"}, 404),
        ({"words": "typo"}, 422),
    ],
)
async def test_a_customer_cannot_write_nonsense(
    trial: Trial, changes: dict[str, Any], status: int
) -> None:
    """Nothing of it reaches the inbox."""
    body = {"business_id": examples.TRIAL, "from": "+12025550100", "text": "Hello", **changes}
    answer = await trial.call("POST", "/v1/sandbox/inbound", json=body)
    assert answer.status_code == status, answer.text
    assert await trial.api.count("provider_inbox") == 0


async def test_the_numbers_can_be_read(trial: Trial) -> None:
    """All ten, in order; also by a live key, and not without one."""
    answer = await trial.call("GET", "/v1/sandbox/numbers", key="platform")
    numbers = [one["number"] for one in answer.json()["data"]]
    assert numbers == [f"+120255501{place:02}" for place in range(10)]
    assert (await trial.call("GET", "/v1/sandbox/numbers", key=None)).status_code == 401


async def test_test_and_live_do_not_see_each_other(trial: Trial) -> None:
    """Neither in lists, nor by name, nor by id; a business never changes sides."""
    confirmation = await trial.confirmation("00")
    for key, own, foreign in (
        ("test", examples.TRIAL, examples.BUSINESS),
        ("platform", examples.BUSINESS, examples.TRIAL),
    ):
        listed = await trial.call("GET", "/v1/businesses", key=key)
        refs = {one["id"] for one in listed.json()["data"]}
        assert own in refs
        assert foreign not in refs
        read = await trial.call("GET", f"/v1/businesses/{foreign}", key=key)
        assert read.status_code == 404
        put = await trial.call(
            "PUT", f"/v1/businesses/{foreign}", key=key, json=examples.BUSINESS_BODY
        )
        assert put.status_code == 404
    path = f"/v1/notifications/{confirmation}"
    assert (await trial.call("GET", path, key="platform")).status_code == 404
    assert (await trial.call("GET", path)).status_code == 200
    for change in ("mode = 'live' WHERE mode = 'test'", "mode = 'test' WHERE mode = 'live'"):
        with pytest.raises(Exception, match="never changes"):
            await trial.api.superuser.execute(f"UPDATE business SET {change}")


async def test_a_key_has_the_mode_of_its_business(trial: Trial) -> None:
    """A live key cannot be bound to a test business, nor the other way round."""
    for mode, business in (("live", trial.business), ("test", trial.api.own)):
        kind = {"scopes": ["*"], "mode": mode, "business_id": business.id}
        with pytest.raises(Exception, match="same mode"):
            await make_keys(trial.services, {"crossed": kind})
