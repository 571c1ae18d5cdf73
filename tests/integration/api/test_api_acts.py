"""Cancel, retry and settle one notification over the interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from api_world import make_keys

from core.ids import NOTIFICATION, new_uuid, outward

if TYPE_CHECKING:
    from api_world import Api

ACTS = {"cancel": {}, "retry": {}, "settle": {"outcome": "sent"}}


async def queued(api: Api) -> str:
    """Grant, tell, and return the notification's path."""
    await api.grant()
    told = await api.tell()
    return f"/v1/notifications/{told.json()['decisions'][0]['notification_id']}"


async def put(api: Api, **values: str | None) -> None:
    """Bring the notification to a state."""
    for name, value in values.items():
        await api.superuser.execute(f"UPDATE notification_outbox SET {name} = $1", value)


async def act(api: Api, path: str, word: str, key: str = "bound", **body: Any) -> Any:
    """Send one of the three."""
    return await api.call("POST", f"{path}/{word}", key=key, json={**ACTS[word], **body})


async def test_what_waits_is_canceled_once(api: Api) -> None:
    """It ends as canceled with a line in the trail; a second time it is final already."""
    path = await queued(api)
    done = await act(api, path, "cancel", reason="called by phone")
    assert done.status_code == 200, done.text
    assert (done.json()["status"], done.json()["final"]) == ("canceled", True)
    assert done.json()["explanation"]["code"] == "canceled"
    again = await act(api, path, "cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already-final")
    line = await api.superuser.fetchrow(
        "SELECT after FROM audit_log WHERE action = 'notification.cancel'"
    )
    assert "called by phone" in line["after"]


async def test_what_is_on_its_way_cannot_be_called_back(api: Api) -> None:
    """A message in the provider's hands is a conflict, not a cancel."""
    path = await queued(api)
    await api.superuser.execute(
        "UPDATE notification_outbox SET phase = 'in_flight', lease_token = gen_random_uuid(), "
        "lease_until = now() + interval '1 min'"
    )
    refused = await act(api, path, "cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_a_failed_one_is_queued_again(api: Api) -> None:
    """With all its tries, under the same id, and the lane is woken."""
    path = await queued(api)
    await put(api, status="failed", phase="final", reason="retries-exhausted")
    await api.superuser.execute("UPDATE notification_outbox SET retry_count = 5")
    api.ring.woken.clear()
    done = await act(api, path, "retry", reason="the provider is back")
    assert done.status_code == 202, done.text
    assert (done.json()["status"], done.json()["final"]) == ("queued", False)
    assert api.ring.woken == [(api.own.id, "whatsapp")]
    assert await api.superuser.fetchval("SELECT retry_count FROM notification_outbox") == 0


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "not-retryable"),
        ({"status": "failed", "phase": "final", "reason": "policy-violation"}, "not-retryable"),
        ({"status": "sent", "phase": "final"}, "already-final"),
        ({"status": "canceled", "phase": "final", "reason": "expired"}, "already-final"),
    ],
)
async def test_what_cannot_help_is_not_tried_again(
    api: Api, values: dict[str, str], code: str
) -> None:
    """Waiting, refused for good, sent or canceled: 409, and nothing changes."""
    path = await queued(api)
    await put(api, **values)
    before = await api.superuser.fetchrow("SELECT * FROM notification_outbox")
    refused = await act(api, path, "retry")
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert await api.superuser.fetchrow("SELECT * FROM notification_outbox") == before


async def test_what_comes_too_late_is_not_tried_again(api: Api) -> None:
    """A notice of an appointment that has begun is useless."""
    path = await queued(api)
    await put(api, status="failed", phase="final", reason="retries-exhausted")
    await api.superuser.execute("UPDATE notification_outbox SET useful_until = now()")
    assert (await act(api, path, "retry")).json()["code"] == "not-retryable"


@pytest.mark.parametrize(
    ("outcome", "status", "phase"),
    [("sent", "sent", "final"), ("failed", "failed", "final"), ("resend", "queued", "waiting")],
)
async def test_a_lost_answer_is_settled_by_hand(
    api: Api, outcome: str, status: str, phase: str
) -> None:
    """A person says what became of it; the alert ends with the last of them."""
    path = await queued(api)
    await put(api, phase="unconfirmed", reason="unconfirmed")
    await api.superuser.execute("UPDATE notification_outbox SET begun_at = now()")
    await api.superuser.execute(
        "INSERT INTO alert (id, business_id, kind, subject) "
        "VALUES (gen_random_uuid(), $1, 'unconfirmed-messages', 'whatsapp')",
        api.own.id,
    )
    done = await act(api, path, "settle", outcome=outcome, reason="asked the customer")
    assert done.status_code == 200, done.text
    row = await api.superuser.fetchrow("SELECT status, phase FROM notification_outbox")
    assert tuple(row) == (status, phase)
    assert await api.superuser.fetchval("SELECT state FROM alert") == "resolved"
    again = await act(api, path, "settle", outcome=outcome)
    assert again.status_code == 409


async def test_only_what_is_unconfirmed_is_settled(api: Api) -> None:
    """A waiting message has nothing to settle; an unknown outcome is no outcome."""
    path = await queued(api)
    refused = await act(api, path, "settle")
    assert (refused.status_code, refused.json()["code"]) == (409, "not-unconfirmed")
    assert (await act(api, path, "settle", outcome="lost")).status_code == 422


@pytest.mark.parametrize("word", ACTS)
async def test_a_foreign_notification_is_not_there(api: Api, word: str) -> None:
    """Somebody else's message is 404 and stays as it is; so is one that never was."""
    path = await queued(api)
    before = await api.superuser.fetchrow("SELECT * FROM notification_outbox")
    assert (await act(api, path, word, key="foreign")).status_code == 404
    assert (await act(api, "/v1/notifications/ntf_x", word)).status_code == 404
    assert (await act(api, path, word, key="reader")).status_code == 403
    assert await api.superuser.fetchrow("SELECT * FROM notification_outbox") == before


@pytest.mark.parametrize("word", ACTS)
async def test_a_notice_that_was_never_queued_has_come_to_its_end(api: Api, word: str) -> None:
    """A suppressed notice has nothing to cancel, to retry or to settle."""
    told = (await api.tell()).json()["decisions"][0]
    assert told["outcome"] == "suppressed"
    refused = await act(api, f"/v1/notifications/{told['notification_id']}", word)
    assert (refused.status_code, refused.json()["code"]) == (409, "already-final")


@pytest.mark.parametrize(
    "values",
    [
        {"status": "failed", "phase": "final", "reason": "policy-violation"},
        {"status": "canceled", "phase": "final", "reason": "recipient-limit"},
    ],
)
async def test_a_person_may_insist_with_a_scope_of_its_own(
    api: Api, values: dict[str, str]
) -> None:
    """`force` queues what is final by the rules, needs its scope, and is written down."""
    path = await queued(api)
    await put(api, **values)
    api.keys |= await make_keys(
        api.services,
        {
            "writer": {
                "scopes": ("notifications:write",),
                "mode": "live",
                "business_id": api.own.id,
            }
        },
    )
    refused = await act(api, path, "retry", key="writer", force=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
    assert (await act(api, path, "retry")).status_code == 409
    done = await act(api, path, "retry", reason="they asked", force=True)
    assert done.status_code == 202, done.text
    assert (done.json()["status"], done.json()["final"]) == ("queued", False)
    after = await api.superuser.fetchval(
        "SELECT after FROM audit_log WHERE action = 'notification.retry'"
    )
    assert '"force": true' in after


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "queued"])
async def test_nobody_can_insist_on_what_left_or_is_on_its_way(api: Api, status: str) -> None:
    """A message that was taken over, or waits, is a conflict even with `force`."""
    path = await queued(api)
    if status != "queued":
        await put(api, status=status, phase="final")
    refused = await act(api, path, "retry", force=True)
    assert refused.status_code == 409, refused.text


async def test_a_forced_retry_still_comes_too_late(api: Api) -> None:
    """Nobody wants a reminder of what has begun."""
    path = await queued(api)
    await put(api, status="failed", phase="final", reason="policy-violation")
    await api.superuser.execute("UPDATE notification_outbox SET useful_until = now()")
    assert (await act(api, path, "retry", force=True)).json()["code"] == "not-retryable"


async def test_what_the_next_channel_took_over_is_not_tried_again(api: Api) -> None:
    """The links show on both; only who insists gets the first one a second time."""
    path = await queued(api)
    await put(api, status="failed", phase="final", reason="retries-exhausted")
    first, second = (
        await api.superuser.fetchval("SELECT id FROM notification_outbox"),
        new_uuid(),
    )
    await api.superuser.execute(
        "INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type, "
        "template_name, language_code, event_id, address_id, booking_ref, fallback_of) "
        "SELECT $1, business_id, customer_id, 'console', event_type, template_name, "
        "language_code, event_id, address_id, booking_ref, id FROM notification_outbox",
        second,
    )
    await api.superuser.execute(
        "UPDATE notification_outbox SET followed_at = now() WHERE id = $1", first
    )
    shown = (await api.call("GET", path, key="bound")).json()
    follower = outward(NOTIFICATION, second)
    assert (shown["fallback_of"], shown["followed_by"]) == (None, follower)
    assert shown["timeline"][-1]["status"] == "followed"
    behind = (await api.call("GET", f"/v1/notifications/{follower}", key="bound")).json()
    assert behind["fallback_of"] == shown["id"]
    assert shown["id"] in behind["timeline"][0]["note"]
    refused = await act(api, path, "retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "not-retryable")
    assert (await act(api, path, "retry", force=True)).status_code == 202


async def test_a_settled_failure_calls_the_next_channel(api: Api) -> None:
    """With a person's `failed` the follower is decided in the same transaction, and shown."""
    path = await queued(api)
    await put(api, phase="unconfirmed", reason="unconfirmed")
    await api.superuser.execute(
        "UPDATE notification_outbox SET begun_at = now(), fallbacks = '[\"console\"]'"
    )
    done = (await act(api, path, "settle", outcome="failed")).json()
    assert done["followed_by"].startswith("dec_")
    follower = await api.call("GET", f"/v1/notifications/{done['followed_by']}", key="bound")
    assert follower.json()["status"] == "suppressed"
    assert follower.json()["fallback_of"] == done["id"]
