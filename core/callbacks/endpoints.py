"""The endpoints' rows: made, changed and looked up by the engine, because of their secrets."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.alerts import store as alerts
from core.callbacks.signatures import new_secret
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.ids import WEBHOOK_ENDPOINT, new_uuid, outward
from core.secret import Secret
from core.vault import VaultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.channels.host import Transaction
    from core.vault import Vault

ALERT: Final = "callback-endpoint-disabled"
BOTH_HOLD_FOR: Final = timedelta(hours=24)
"""How long a replaced secret still signs beside the new one."""

MOST: Final = 20
"""Endpoints of one business, and of the platform."""

_TABLE: Final = "callback_endpoint"
_COLUMNS: Final = (
    "id, business_id, mode, url, events, description, state, reason, failing_since,"
    " previous_until, created_at, updated_at,"
    " (SELECT b.ref FROM business b WHERE b.id = callback_endpoint.business_id) AS business_ref"
)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told; without its secrets."""

    id: UUID
    business_id: UUID | None
    business_ref: str | None
    mode: str
    url: str
    events: list[str]
    description: str
    state: str
    reason: str
    failing_since: datetime | None
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """Where a callback goes and what signs it, the newest secret first."""

    url: str
    keys: tuple[Secret, ...]


async def add_endpoint(
    transaction: Transaction,
    vault: Vault,
    *,
    business_id: UUID | None,
    mode: str,
    url: str,
    events: Sequence[str],
    description: str,
    now: datetime,
) -> tuple[Endpoint, Secret]:
    """Make an endpoint; its secret is returned this once.

    Raises:
        InvalidInputError: there are enough of them.
    """
    counted = await transaction.fetchval(
        f"SELECT count(*) FROM {_TABLE} WHERE business_id IS NOT DISTINCT FROM $1 AND mode = $2",
        business_id,
        mode,
    )
    if counted >= MOST:
        fault = FieldFault("", "too-many", f"There are {MOST} endpoints already; remove one.")
        raise InvalidInputError(fault.message, errors=[fault])
    row_id, secret = new_uuid(), new_secret()
    row = await transaction.fetchrow(
        f"""
        INSERT INTO {_TABLE} (id, business_id, mode, url, events, description, secret_sealed,
                              created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING {_COLUMNS}
        """,
        row_id,
        business_id,
        mode,
        url,
        list(events),
        description,
        _seal(vault, "secret_sealed", business_id, row_id, secret),
        now,
    )
    return Endpoint(**row), secret


async def get_endpoint(transaction: Transaction, endpoint_id: UUID) -> Endpoint:
    """Return an endpoint, whoever's it is.

    Raises:
        NotFoundError: there is none.
    """
    row = await transaction.fetchrow(f"SELECT {_COLUMNS} FROM {_TABLE} WHERE id = $1", endpoint_id)
    if row is None:
        raise NotFoundError("There is no such endpoint.")
    return Endpoint(**row)


async def list_endpoints(
    transaction: Transaction,
    *,
    business_id: UUID | None,
    mode: str | None,
    before: UUID | None,
    limit: int,
) -> list[Endpoint]:
    """Return the endpoints of a business, or the platform's own, the newest first."""
    rows = await transaction.fetch(
        f"""
        SELECT {_COLUMNS} FROM {_TABLE}
        WHERE business_id IS NOT DISTINCT FROM $1 AND ($2::text IS NULL OR mode = $2)
          AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        business_id,
        mode,
        before,
        limit + 1,
    )
    return [Endpoint(**row) for row in rows]


async def change_endpoint(
    transaction: Transaction,
    before: Endpoint,
    *,
    url: str,
    events: Sequence[str],
    description: str,
    state: str,
    now: datetime,
) -> Endpoint:
    """Change an endpoint; switching it on forgets its failures and ends the alert."""
    row = await transaction.fetchrow(
        f"""
        UPDATE {_TABLE} SET url = $2, events = $3, description = $4, state = $5::text,
            reason = CASE WHEN $5::text = 'active' THEN '' WHEN state = $5::text THEN reason
                          ELSE 'asked' END,
            failing_since = CASE WHEN state = $5::text THEN failing_since END,
            failed_at = CASE WHEN state = $5::text THEN failed_at END, updated_at = $6
        WHERE id = $1 RETURNING {_COLUMNS}
        """,
        before.id,
        url,
        list(events),
        description,
        state,
        now,
    )
    if row is None:
        raise NotFoundError("There is no such endpoint.")
    if state == "active":
        await alerts.resolve_alert(
            transaction, before.business_id, ALERT, outward(WEBHOOK_ENDPOINT, before.id)
        )
    return Endpoint(**row)


async def rotate_secret(
    transaction: Transaction, vault: Vault, endpoint: Endpoint, now: datetime
) -> tuple[Endpoint, Secret]:
    """Give an endpoint a new secret; the old one signs beside it for a day."""
    sealed = await transaction.fetchval(
        f"SELECT secret_sealed FROM {_TABLE} WHERE id = $1 FOR UPDATE", endpoint.id
    )
    if sealed is None:
        raise NotFoundError("There is no such endpoint.")
    old = _open(vault, "secret_sealed", endpoint.business_id, endpoint.id, bytes(sealed))
    secret = new_secret()
    row = await transaction.fetchrow(
        f"""
        UPDATE {_TABLE} SET secret_sealed = $2, previous_sealed = $3, previous_until = $4,
                            updated_at = $5
        WHERE id = $1 RETURNING {_COLUMNS}
        """,
        endpoint.id,
        _seal(vault, "secret_sealed", endpoint.business_id, endpoint.id, secret),
        _seal(vault, "previous_sealed", endpoint.business_id, endpoint.id, old),
        now + BOTH_HOLD_FOR,
        now,
    )
    return Endpoint(**row), secret


async def remove_endpoint(transaction: Transaction, endpoint: Endpoint) -> None:
    """Delete an endpoint with its secrets and its deliveries, and end its alert."""
    await transaction.execute(f"DELETE FROM {_TABLE} WHERE id = $1", endpoint.id)
    await alerts.resolve_alert(
        transaction, endpoint.business_id, ALERT, outward(WEBHOOK_ENDPOINT, endpoint.id)
    )


async def targets(
    transaction: Transaction, vault: Vault, endpoint_ids: Iterable[UUID], now: datetime
) -> dict[UUID, Target]:
    """Return the addresses of endpoints and the secrets that sign now.

    An endpoint whose secret does not open is left out: it must not keep the others waiting.
    """
    rows = await transaction.fetch(
        f"""
        SELECT id, business_id, url, secret_sealed,
               CASE WHEN previous_until > $2 THEN previous_sealed END AS previous_sealed
        FROM {_TABLE} WHERE id = ANY ($1)
        """,
        list(set(endpoint_ids)),
        now,
    )
    found: dict[UUID, Target] = {}
    for row in rows:
        with contextlib.suppress(VaultError):
            keys = tuple(
                _open(vault, column, row["business_id"], row["id"], bytes(row[column]))
                for column in ("secret_sealed", "previous_sealed")
                if row[column] is not None
            )
            found[row["id"]] = Target(row["url"], keys)
    return found


def _context(column: str, business_id: UUID | None, row_id: UUID) -> tuple[str, ...]:
    return (_TABLE, column, str(business_id or ""), str(row_id))


def _seal(
    vault: Vault, column: str, business_id: UUID | None, row_id: UUID, secret: Secret
) -> bytes:
    return vault.seal_text(secret.reveal(), context=_context(column, business_id, row_id))


def _open(
    vault: Vault, column: str, business_id: UUID | None, row_id: UUID, sealed: Any
) -> Secret:
    return Secret(vault.open_text(sealed, context=_context(column, business_id, row_id)))
