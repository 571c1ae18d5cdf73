"""What a callback looks like on the wire, how it is signed, and when it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.api.webhook_schemas import CallbackBody, CallbackFacts
from core.callbacks.deliveries import GAP, Delivery
from core.callbacks.kinds import KINDS, unknown_patterns
from core.callbacks.messages import LARGEST, message_id, render
from core.callbacks.schedule import ATTEMPTS, LONGEST_ASKED, WAITS, wait_after
from core.callbacks.signatures import new_secret, sign

AT = datetime(2026, 11, 22, 9, 2, 12, tzinfo=UTC)
ID = UUID("019ab000-0000-7000-8000-00000000a001")


def delivery(**changes: Any) -> Delivery:
    """Return a kept callback."""
    fields: dict[str, Any] = {
        "id": UUID("019ab000-0000-7000-8000-00000000b001"),
        "business_id": ID,
        "endpoint_id": ID,
        "type": "notification.failed",
        "subject": "notification",
        "subject_id": ID,
        "sequence": 3,
        "body": {
            "business_id": "salon-a",
            "customer_id": "cus-1",
            "booking_ref": "B-1",
            "channel": "whatsapp",
            "template": "booking_confirmed",
            "event_type": "booking.confirmed",
            "status": "failed",
            "code": "retries-exhausted",
            "provider_code": "131026",
        },
        "occurred_at": AT,
        "state": "leased",
        "attempt": 1,
        "next_at": None,
        "last_status": None,
        "last_error": "",
        "tries": [],
        "created_at": AT,
        "ended_at": None,
    }
    return Delivery(**(fields | changes))


def test_the_body_is_a_thin_cloud_event() -> None:
    """Required attributes, the extra `timestamp`, our ids and codes; the same bytes again."""
    body = render("https://patchbay.example.com", delivery())
    told = msgspec.json.decode(body)
    assert told["specversion"] == "1.0"
    assert told["id"] == message_id(delivery().id)
    assert told["id"].startswith("msg_")
    assert told["source"] == "https://patchbay.example.com"
    assert told["time"] == told["timestamp"] == "2026-11-22T09:02:12Z"
    assert told["subject"].startswith("notification/ntf_")
    assert told["data"]["notification_id"] == told["subject"].partition("/")[2]
    assert told["data"]["sequence"] == 3
    assert told["data"]["code"] == "retries-exhausted"
    assert isinstance(told["data"]["retryable"], bool)
    assert render("https://patchbay.example.com", delivery()) == body
    described = {field.encode_name for field in msgspec.structs.fields(CallbackFacts)}
    assert set(told["data"]) <= described
    assert msgspec.json.decode(body, type=CallbackBody).data.code == "retries-exhausted"


def test_a_follower_names_whose_place_it_takes() -> None:
    """As everywhere outside by its outward id; what follows nothing has no such fact."""
    told = msgspec.json.decode(
        render("x", delivery(body={**delivery().body, "fallback_of": str(ID)}))
    )
    assert told["data"]["fallback_of"] == told["data"]["notification_id"]
    assert "fallback_of" not in msgspec.json.decode(render("x", delivery()))["data"]


def test_a_suppressed_notice_is_told_by_its_decision() -> None:
    """It has a `dec_` id and never was a notification."""
    told = msgspec.json.decode(
        render("x", delivery(type="notification.suppressed", subject="decision"))
    )
    assert told["data"]["notification_id"].startswith("dec_")
    assert told["subject"].startswith("notification/dec_")


def test_the_longest_body_stays_below_twenty_thousand_bytes() -> None:
    """Also with the longest texts that the columns take, and a button of a stranger."""
    wide = {
        "business_id": "b" * 64,
        "customer_id": "c" * 64,
        "booking_ref": "r" * 64,
        "channel": "h" * 32,
        "template": "\u2028" * 512,
        "button": "\U0001f600" * 100_000,
        "code": "x" * 64,
    }
    told = render("https://" + "h" * 2_000, delivery(body=wide, type="message.received"))
    assert len(told) < LARGEST


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Verify as the text of Standard Webhooks says, without a line of the product."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join(
        (headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body)
    )
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        version == "v1" and hmac.compare_digest(signature, wanted)
        for version, _, signature in (
            part.partition(",") for part in headers["webhook-signature"].split(" ")
        )
    )


def test_signatures_follow_standard_webhooks() -> None:
    """Either secret verifies while both hold; another body, id, time or secret does not."""
    new, old, other = (new_secret() for _ in range(3))
    body = b'{"a": "\xc3\xa8"}'
    headers = sign("msg_1", 1_795_338_132, body, (new, old))
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verified(new.reveal(), headers, body)
    assert verified(old.reveal(), headers, body)
    assert not verified(other.reveal(), headers, body)
    assert not verified(new.reveal(), headers, body + b" ")
    assert not verified(new.reveal(), headers | {"webhook-id": "msg_2"}, body)
    assert not verified(new.reveal(), headers | {"webhook-timestamp": "1795338133"}, body)


def test_secrets_are_of_the_standards_form() -> None:
    """`whsec_` and the base64 of 24 to 64 random bytes, each its own."""
    made = {new_secret().reveal() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_there_are_eight_attempts_over_more_than_a_day() -> None:
    """At least 27 hours even with the least jitter; each wait within a tenth of its own."""
    assert ATTEMPTS == 8
    shortest = [wait_after(attempt, lambda: 0.0) for attempt in range(1, ATTEMPTS)]
    assert sum((wait for wait in shortest if wait), timedelta()) >= timedelta(hours=27)
    assert wait_after(ATTEMPTS, lambda: 0.5) is None
    dice = random.Random(1).random  # noqa: S311 - the same dice each run
    for attempt, base in enumerate(WAITS, start=1):
        seen = [wait_after(attempt, dice) for _ in range(500)]
        waits = [wait for wait in seen if wait is not None]
        assert all(base * 0.9 <= wait <= base * 1.1 for wait in waits)
        assert len(set(waits)) > 400
        assert max(waits) < GAP


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    """Never earlier than asked, up to a day."""
    hour = timedelta(hours=1)
    assert wait_after(1, lambda: 0.5, hour) == hour
    assert wait_after(6, lambda: 0.5, hour) == WAITS[5]
    assert wait_after(1, lambda: 0.5, timedelta(days=400)) == LONGEST_ASKED


def test_only_known_types_can_be_wanted() -> None:
    """Exact names, whole areas, and everything."""
    assert unknown_patterns(["*", "notification.*", "consent.revoked", *KINDS]) == []
    wrong = ["", "notification", "notification.*.x", "**", "NOTIFICATION.SENT", "endpoint.test"]
    assert unknown_patterns(wrong) == wrong
