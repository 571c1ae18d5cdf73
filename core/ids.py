"""Typed identifiers, so that tenants and things cannot be mixed up.

Inside they are UUIDs of version 7 (RFC 9562), made here because they sort by time on every
supported PostgreSQL. Outside they are a prefix and 26 letters of lower-case base32 in the
extended hex alphabet (RFC 4648, section 7), whose text sorts as its bytes do.
"""

from __future__ import annotations

import base64
import os
import re
import time
from typing import Final, NewType
from uuid import UUID

from core.errors import NotFoundError

BusinessId = NewType("BusinessId", UUID)
CustomerId = NewType("CustomerId", UUID)
ConsentId = NewType("ConsentId", UUID)

EVENT: Final = "evt"
NOTIFICATION: Final = "ntf"
DECISION: Final = "dec"
CONSENT: Final = "cns"
WEBHOOK_ENDPOINT: Final = "whe"
CALLBACK: Final = "msg"
JOB: Final = "job"
ALERT: Final = "alr"

REF_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,64}$(?!\n)"
"""Ids that the caller chooses (business, customer, booking): its own text (rulings A10)."""

_ENCODED: Final = re.compile(r"^[0-9a-v]{26}$")
_RANDOM_BITS: Final = 62
_NANOSECONDS: Final = 1_000_000
"""In a millisecond."""


class _Ticks:
    """Time in 4,096ths of a millisecond, never the same twice in one process.

    Rows made one after the other keep their order even within a millisecond, or while the
    machine's clock is set back (RFC 9562, section 6.2, method 3).
    """

    def __init__(self) -> None:
        self._latest = 0

    def __call__(self) -> int:
        milliseconds, rest = divmod(time.time_ns(), _NANOSECONDS)
        self._latest = max((milliseconds << 12) + (rest << 12) // _NANOSECONDS, self._latest + 1)
        return self._latest


_next_tick: Final = _Ticks()


def new_uuid() -> UUID:
    """Make a version 7 UUID: 60 bits of time, later than any before, then 62 random bits."""
    tick = _next_tick()
    value = (tick >> 12 & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= (tick & 0xFFF) << 64
    value |= 0b10 << _RANDOM_BITS
    value |= int.from_bytes(os.urandom(8), "big") & ((1 << _RANDOM_BITS) - 1)
    return UUID(int=value)


def outward(prefix: str, value: UUID) -> str:
    """Write an id as callers see it, for example `ntf_0383ujhn...`."""
    return f"{prefix}_{base64.b32hexencode(value.bytes).decode().rstrip('=').lower()}"


def inward(prefix: str, text: str) -> UUID:
    """Read an id that a caller sent.

    Raises:
        NotFoundError: it cannot be one of ours; a malformed id looks like a missing one.
    """
    head, _, tail = text.partition("_")
    if head != prefix or not _ENCODED.fullmatch(tail):
        raise NotFoundError(f"There is no {prefix} id like this.")
    value = UUID(bytes=base64.b32hexdecode(tail.upper() + "======"))
    if outward(head, value) != text:  # the last letter holds two bits that must be zero
        raise NotFoundError(f"There is no {prefix} id like this.")
    return value
