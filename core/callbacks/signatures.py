"""Signatures in the form of Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256.

Signed is `id.timestamp.body`. While a secret is being replaced there are two signatures in the
header, separated by a space; a receiver is content with either.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
"""Between the 24 and 64 bytes that the standard asks for."""


def new_secret() -> Secret:
    """Make a secret: `whsec_` and the base64 of random bytes."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def sign(message_id: str, timestamp: int, body: bytes, keys: Sequence[Secret]) -> dict[str, str]:
    """Return the three headers of a message.

    Args:
        message_id: the same for every attempt; receivers know a repetition by it.
        timestamp: of this attempt, in seconds of Unix time; receivers refuse old ones.
        body: as it goes over the wire.
        keys: the secrets that hold now, the newest first.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(key: Secret, signed: bytes) -> str:
    material = base64.b64decode(key.reveal().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(material, signed, "sha256")).decode()
