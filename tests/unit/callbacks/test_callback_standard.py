"""The official library of Standard Webhooks, as receivers use it, verifies what we sign."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from core.callbacks.signatures import new_secret, sign
from core.secret import Secret

BODY = msgspec.json.encode({"type": "notification.sent", "data": {"name": "caff\u00e8"}})


def test_the_official_library_verifies_us_across_a_rotation() -> None:
    """With one secret, and while two hold, in either order."""
    new, old = new_secret(), new_secret()
    now = int(datetime.now(UTC).timestamp())
    for keys in ((new,), (new, old), (old, new)):
        headers = sign("msg_1", now, BODY, keys)
        for key in keys:
            assert Webhook(key.reveal()).verify(BODY, headers)["type"] == "notification.sent"


def test_the_published_vector_is_signed_as_published() -> None:
    """The example that the libraries of the standard are tested with."""
    key = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}', (key,))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_official_library_refuses_what_is_not_ours() -> None:
    """Another secret, another body, an old time."""
    secret = new_secret()
    now = int(datetime.now(UTC).timestamp())
    headers = sign("msg_1", now, BODY, (secret,))
    for key, body, given in (
        (new_secret(), BODY, headers),
        (secret, BODY + b" ", headers),
        (secret, BODY, sign("msg_1", now - 3600, BODY, (secret,))),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key.reveal()).verify(body, given)
