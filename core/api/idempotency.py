"""`Idempotency-Key`: a call that is repeated gets the same answer, and does its work once.

The key is stored in the transaction that does the work. A rival with the same key waits for it;
a call that failed leaves no key behind and may be repeated. Keys are kept for seven days.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from core.errors import ConflictError, FieldFault, InvalidInputError, ProblemError
from core.ids import new_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from litestar import Request

    from core.channels.host import Transaction

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotency-Replayed": "true"}

_RUNNING: Final = "Another request with this key has not ended yet."

_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that was given before."""

    status: int
    body: Any


def idempotency_key(request: Request[Any, Any, Any]) -> str:
    """Return the call's key.

    Raises:
        ProblemError: 400, there is none.
        InvalidInputError: 422, it is empty, too long, or not plain ASCII.
    """
    key = request.headers.get(HEADER)
    if key is None:
        raise ProblemError(f"This call needs the header {HEADER}.", code="idempotency-missing")
    if not _PRINTABLE.fullmatch(key):
        message = "A key is 1 to 255 visible ASCII characters."
        fault = FieldFault(f"#{HEADER}", "invalid", message)
        raise InvalidInputError(message, errors=[fault])
    return key


async def claim(
    transaction: Transaction, business_id: UUID, endpoint: str, key: str, told: msgspec.Struct
) -> Kept | None:
    """Take the key for this transaction; return the answer if it was taken before.

    Raises:
        ConflictError: another request is at work with it.
        InvalidInputError: it stands for another body.
    """
    scope = f"{business_id}:{endpoint}"
    digest = hashlib.sha256(msgspec.json.encode(told, order="sorted")).digest()
    try:
        taken = await transaction.fetchval(
            """
            INSERT INTO idempotency_key (id, scope, key, request_hash) VALUES ($1, $2, $3, $4)
            ON CONFLICT (scope, key) DO NOTHING RETURNING id
            """,
            new_uuid(),
            scope,
            key,
            digest,
        )
    except asyncpg.LockNotAvailableError:
        raise ConflictError(_RUNNING, code="idempotency-in-progress") from None
    if taken is not None:
        return None
    row = await transaction.fetchrow(
        "SELECT request_hash, status, body FROM idempotency_key WHERE scope = $1 AND key = $2",
        scope,
        key,
    )
    if row is None or row["status"] is None:
        raise ConflictError(_RUNNING, code="idempotency-in-progress")
    if bytes(row["request_hash"]) != digest:
        raise InvalidInputError(
            "This key was used with another body.", code="idempotency-mismatch"
        )
    return Kept(row["status"], row["body"])


async def keep(
    transaction: Transaction, business_id: UUID, endpoint: str, key: str, kept: Kept
) -> None:
    """Store the answer in the transaction that did the work."""
    await transaction.execute(
        "UPDATE idempotency_key SET status = $3, body = $4 WHERE scope = $1 AND key = $2",
        f"{business_id}:{endpoint}",
        key,
        kept.status,
        kept.body,
    )
