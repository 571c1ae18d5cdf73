"""Consents over the interface: proof, idempotency, revocation, history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api
    from fixture_postgres import FreshDatabase

UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"source": "paper", "proof_reference": None, "proof": None}, "/proof_reference"),
    ({"source": "hearsay"}, "/source"),
    ({"granted_at": "2999-01-01T00:00:00Z"}, "/granted_at"),
    ({"granted_at": "1999-01-01T00:00:00Z"}, "/granted_at"),
    ({"channel": "pigeon"}, "/channel"),
    ({"purpose": "fun"}, "/purpose"),
    ({"customer": {"id": "someone-else"}}, "/customer/id"),
    ({"customer": {"phone": "12"}}, "/customer/phone"),
    ({"proof": {"note": "a\u0000b"}}, ""),
]


async def revoke(api: Api, consent: str, key: str = "platform", **more: Any) -> Any:
    """Revoke a consent."""
    return await api.call("POST", f"/v1/consents/{consent}/revoke", key=key, **more)


async def test_a_grant_is_recorded_with_its_proof(api: Api) -> None:
    """201, the state, a line in the ledger, a line in the audit trail, a customer with a phone."""
    made = await api.grant()
    assert made.status_code == 201, made.text
    body = made.json()
    assert body["id"].startswith("cns_")
    assert (body["state"], body["customer_id"]) == ("granted", "cus_88")
    line = await api.superuser.fetchrow("SELECT * FROM consent_event")
    assert (line["action"], line["source"], line["proof_reference"]) == ("grant", "web", "form/41")
    assert line["text_hash"] is not None, "it-v1 is a sentence of ours, so its hash is kept"
    assert await api.count("customer_address") == 1
    [entry] = await api.superuser.fetch("SELECT * FROM audit_log WHERE action = 'consent.grant'")
    assert entry["target"] == f"consent:{body['id']}"


async def test_the_same_key_gives_the_same_answer_and_works_once(api: Api) -> None:
    """Replayed, marked as such; another body under the key is refused."""
    first, again = await api.grant(), await api.grant()
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await api.count("consent_event") == 1
    other = await api.grant(proof_reference="form/42")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")


async def test_two_calls_at_once_with_one_key_work_once(api: Api) -> None:
    """The second waits for the first and gets its answer."""
    answers = await asyncio.gather(*(api.grant() for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await api.count("consent_event") == 1


async def test_a_failed_call_leaves_no_key_behind(api: Api) -> None:
    """It may be corrected and repeated with the same key."""
    assert (await api.grant(source="paper", proof_reference=None, proof=None)).status_code == 422
    assert await api.count("idempotency_key") == 0
    assert (await api.grant()).status_code == 201


async def test_keys_of_two_businesses_never_meet(api: Api) -> None:
    """The same Idempotency-Key elsewhere is another key."""
    await api.grant()
    theirs = await api.grant(key="foreign", business_id="salon-foreign")
    assert theirs.status_code == 201
    assert "idempotency-replayed" not in theirs.headers


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 400, "idempotency-missing"), ("", 422, "validation"), ("x" * 256, 422, "validation")],
)
async def test_a_grant_needs_a_sound_idempotency_key(
    api: Api, key: str | None, status: int, code: str
) -> None:
    """Missing is 400, unfit is 422."""
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await api.call("POST", "/v1/consents", json=examples.CONSENT_BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_grant_that_proves_nothing_is_refused(api: Api) -> None:
    """Without source, time or text version there is no consent."""
    for missing in ("source", "granted_at", "text_version", "customer_id"):
        body = {name: value for name, value in examples.CONSENT_BODY.items() if name != missing}
        headers = {"Idempotency-Key": "k"}
        answer = await api.call("POST", "/v1/consents", json=body, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"/{missing}"
    assert await api.count("customer_consents") == 0


async def test_unfit_grants_are_pointed_at(api: Api) -> None:
    """Each fault is a 422 that names the field."""
    for changes, pointer in UNFIT:
        refused = await api.grant(**changes)
        assert refused.status_code == 422, (pointer, refused.text)
        assert refused.json()["errors"][0]["pointer"] == pointer


async def test_a_revocation_cancels_what_waits_and_says_so_again(api: Api) -> None:
    """200 with the count; repeating gives the very same answer; nothing is left to send."""
    consent = (await api.grant()).json()["id"]
    await api.tell()
    first = await revoke(api, consent, json={"source": "app"})
    assert first.status_code == 200, first.text
    assert first.json() == {"state": "revoked", "canceled_notifications": 1}
    row = await api.superuser.fetchrow("SELECT status, phase, reason FROM notification_outbox")
    assert tuple(row) == ("canceled", "final", "consent-revoked")
    again = await revoke(api, consent)
    assert (again.status_code, again.json()) == (200, first.json())
    assert await api.count("consent_event") == 2, "a repeated revocation adds no line"
    later = (await api.tell(id="later", type="booking.canceled")).json()
    assert later["decisions"][0]["reason"] == "consent-revoked"


async def test_only_the_customers_own_messages_of_that_purpose_are_canceled(api: Api) -> None:
    """Somebody else's message, and one of another purpose, go on waiting."""
    consent = (await api.grant()).json()["id"]
    await api.grant("other", customer_id="cus_99")
    await api.tell()
    customer = {**examples.CUSTOMER_BODY, "id": "cus_99"}
    booking = {**examples.BOOKING_BODY, "ref": "B-2"}
    data = {**examples.EVENT_BODY["data"], "customer": customer, "booking": booking}
    await api.tell(id="other", data=data)
    assert (await revoke(api, consent)).json()["canceled_notifications"] == 1
    rows = await api.superuser.fetch(
        "SELECT o.phase, c.ref FROM notification_outbox o JOIN customer c ON c.id = o.customer_id"
    )
    assert {row["ref"]: row["phase"] for row in rows} == {"cus_88": "final", "cus_99": "waiting"}


async def test_an_old_grant_does_not_undo_a_revocation(api: Api) -> None:
    """What was said before the no is kept in the ledger and changes nothing."""
    consent = (await api.grant()).json()["id"]
    await revoke(api, consent)
    late = await api.grant("late", proof_reference="form/old")
    assert (late.status_code, late.json()["state"]) == (201, "revoked")
    fresh = await api.grant("fresh", granted_at=api.services.clock.now().isoformat())
    assert fresh.json()["state"] == "granted"
    assert fresh.json()["id"] == consent


async def test_a_foreign_consent_cannot_be_revoked_or_read(api: Api) -> None:
    """404, and nothing happens."""
    consent = (await api.grant()).json()["id"]
    assert (await revoke(api, consent, key="foreign")).status_code == 404
    assert await api.superuser.fetchval("SELECT opt_in FROM customer_consents")
    theirs = await api.call("GET", "/v1/consents?customer_id=cus_88", key="foreign")
    assert theirs.status_code == 404


async def test_state_and_history_can_be_read(api: Api) -> None:
    """The present first, and every line that led to it."""
    consent = (await api.grant()).json()["id"]
    await revoke(api, consent, json={"source": "web", "at": "2026-11-20T10:00:00Z"})
    read = await api.call("GET", "/v1/consents?customer_id=cus_88", key="bound")
    assert read.status_code == 200
    body = read.json()
    assert [one["state"] for one in body["data"]] == ["revoked"]
    assert [one["action"] for one in body["history"]] == ["revoke", "grant"]
    assert body["history"][0]["occurred_at"] == "2026-11-20T10:00:00Z"


async def test_many_are_checked_at_once(api: Api) -> None:
    """In the order asked; no row means no; more than 500 are refused."""
    await api.grant()
    pairs = [
        {"customer_id": "cus_88", "channel": "whatsapp"},
        {"customer_id": "cus_88", "channel": "whatsapp", "purpose": "marketing"},
        {"customer_id": "nobody", "channel": "whatsapp"},
    ]
    answer = await api.call("POST", "/v1/consents/check", key="bound", json={"pairs": pairs})
    assert answer.status_code == 200
    said = [(one["allowed"], one["reason"]) for one in answer.json()["data"]]
    assert said == [
        (True, None),
        (False, "marketing-consent-missing"),
        (False, "consent-missing"),
    ]
    many = {"pairs": pairs[:1] * 501}
    refused = await api.call("POST", "/v1/consents/check", key="bound", json=many)
    assert refused.status_code == 422
    none = await api.call("POST", "/v1/consents/check", key="bound", json={"pairs": []})
    assert none.status_code == 422


async def test_the_sentence_to_show_is_the_specifications(api: Api) -> None:
    """Version 1 in English, word for word, with the business's name filled in."""
    path = "/v1/businesses/salon-aurora/consent-text?channel=whatsapp&language=en"
    shown = (await api.call("GET", path)).json()
    assert shown["text"] == (
        "I agree to receive appointment notifications via WhatsApp from Salone Aurora."
    )
    assert shown["text_version"] == "en-v1"
    own = (await api.call("GET", "/v1/businesses/salon-aurora/consent-text")).json()
    assert (own["language"], own["text_version"]) == ("it", "it-v1")
    unknown = await api.call("GET", "/v1/businesses/salon-aurora/consent-text?language=xx")
    assert unknown.json()["language"] == "en"
    for wrong in ("channel=pigeon", "language=italiano", "purpose=fun"):
        path = f"/v1/businesses/salon-aurora/consent-text?{wrong}"
        assert (await api.call("GET", path)).status_code == 422


async def test_a_call_that_takes_too_long_makes_its_twin_409(
    api: Api, migrated_database: FreshDatabase
) -> None:
    """The key is in use; the twin is told to come back, and nothing is stored for it."""
    rival = await asyncpg.connect(migrated_database.superuser_url)
    transaction = rival.transaction()
    await transaction.start()
    await rival.execute(
        "INSERT INTO idempotency_key (scope, key, request_hash) VALUES ($1, 'grant-1', '')",
        f"{api.own.id}:consents",
    )
    twin = await api.grant()
    await transaction.rollback()
    await rival.close()
    assert (twin.status_code, twin.json()["code"]) == (409, "idempotency-in-progress")
    assert twin.headers["retry-after"] == "1"
    assert (await api.grant()).status_code == 201


async def test_the_version_and_language_shown_are_recorded(api: Api) -> None:
    """A consent names a sentence that exists, with its language and hash; others are refused."""
    body = (await api.grant()).json()
    assert (body["text_version"], body["locale"]) == ("it-v1", "it")
    line = await api.superuser.fetchrow("SELECT * FROM consent_event")
    assert (line["locale"], len(line["text_hash"])) == ("it", 32)
    for changes, pointer in (
        ({"text_version": "it-v9"}, "/text_version"),
        ({"text_version": "xx-v1"}, "/text_version"),
        ({"text_version": "version one"}, "/text_version"),
        ({"text_version": "it-v1", "locale": "de"}, "/locale"),
    ):
        refused = await api.grant("other", **changes)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"] == pointer
    await api.superuser.execute(
        "INSERT INTO consent_text (business_id, key, version, locale, body, hash) "
        "VALUES ($1, 'whatsapp.transactional', 9, 'it', 'Sì, {business}.', '')",
        api.own.id,
    )
    assert (await api.grant("ninth", text_version="it-v9")).status_code == 201
