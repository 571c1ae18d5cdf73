"""API keys: `pb_live_<key id>_<secret>`; only a keyed hash of the secret is kept.

The look-up runs in the engine's role, because no business may read the hashes. What was looked
up is remembered for one second at most, so that a revocation acts within it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.access.networks import is_within, read_network
from core.access.rates import BURST, PER_SECOND, KeyRates, Rate, StrangerRates, check_rate
from core.errors import InvalidInputError, NotFoundError, ProblemError
from core.ids import BusinessId, new_uuid
from core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.channels.host import Transaction, Vault
    from core.clock import Clock
    from core.db import Database

ALL: Final = "*"
SCOPES: Final = {
    "events:write": "Tell of booking events.",
    "notifications:read": "Read events, decisions and notifications.",
    "notifications:write": "Send, cancel and retry single notifications.",
    "notifications:force": "Retry what the rules call final.",
    "consents:read": "Read and check consents.",
    "consents:write": "Record and revoke consents.",
    "templates:read": "Read templates.",
    "config:read": "Read businesses and their channels.",
    "config:write": "Make and change businesses and their channels.",
    "privacy:write": "Export and erase a customer's data.",
    "stats:read": "Read figures.",
    "webhooks:write": "Manage webhook endpoints.",
    "alerts:read": "Read alerts.",
    "alerts:write": "Acknowledge and resolve alerts.",
}
"""What a key may be allowed to do."""

_IMPLIED: Final = {"config:read": "config:write", "alerts:read": "alerts:write"}
_MODES: Final = ("live", "test")
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43  # 43 of 62 letters hold 256 bits
_PARTS: Final = 4
_LONGEST: Final = 120
_REMEMBERED_SECONDS: Final = 1.0
_REMEMBERED: Final = 1024
_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_COLUMNS: Final = (
    "key_id, business_id, name, scopes, mode, expires_at, last_used_at, revoked_at, created_at, "
    "rate_per_second, rate_burst, allowed_from"
)


class UnauthenticatedError(ProblemError):
    """There is no key in the call, or it opens nothing (any more)."""

    status = 401
    code = "unauthenticated"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls.

    Attributes:
        key_id: the public part of the key.
        business_id: the business the key is bound to; None for the platform.
        mode: a test key sees test businesses only, a live key live ones only.
        rate: how many calls the key may make.
        allowed_from: the networks it may be used from; empty means everywhere.
    """

    key_id: str
    name: str
    business_id: BusinessId | None
    scopes: frozenset[str]
    mode: str
    expires_at: datetime | None = None
    rate: Rate = Rate()
    allowed_from: tuple[str, ...] = ()

    @property
    def actor(self) -> str:
        """Return how the audit trail names this caller."""
        return f"key:{self.key_id}"

    def may(self, scope: str) -> bool:
        """Tell whether the key holds a scope, itself or through a wider one."""
        wider = _IMPLIED.get(scope, scope)
        return not self.scopes.isdisjoint((ALL, scope, wider))


class ApiKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as lists show it: nothing in it opens anything."""

    key_id: str
    business_id: BusinessId | None
    name: str
    scopes: tuple[str, ...]
    mode: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    rate_per_second: int | None
    rate_burst: int | None
    allowed_from: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; `plaintext` exists only here and only now."""

    key_id: str
    plaintext: Secret


async def create_key(
    transaction: Transaction,
    vault: Vault,
    *,
    name: str,
    scopes: Sequence[str],
    business_id: UUID | None = None,
    mode: str = "live",
    expires_at: datetime | None = None,
    rate: Rate | None = None,
    allowed_from: Sequence[str] = (),
) -> NewKey:
    """Make a key, in the engine's role: it alone holds the hashes.

    Args:
        transaction: the engine's.
        vault: hashes the secret.
        name: who will use it, for people.
        scopes: what it may do.
        business_id: binds it to one business, which must be of the key's mode.
        mode: live, or test for test businesses only.
        expires_at: when it stops working.
        rate: how many calls it may make; None means what the host allows by itself.
        allowed_from: networks or addresses it may be used from; none means everywhere.

    Raises:
        InvalidInputError: a scope, the mode, the rate or a network is wrong, or the business is
            of the other mode.
    """
    if unknown := sorted(set(scopes) - {ALL, *SCOPES}):
        known = ", ".join(SCOPES)
        raise InvalidInputError(f"Unknown scope {unknown[0]!r}; the known ones are: *, {known}.")
    if not scopes or mode not in _MODES:
        raise InvalidInputError("A key needs at least one scope, and the mode live or test.")
    check_rate(rate)
    networks = [read_network(one) for one in allowed_from]
    await _check_mode(transaction, business_id, mode)
    key_id, secret = _random(_KEY_ID_LENGTH), _random(_SECRET_LENGTH)
    await transaction.execute(
        """
        INSERT INTO api_key (id, key_id, secret_hmac, business_id, name, scopes, mode, expires_at,
                             rate_per_second, rate_burst, allowed_from)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        new_uuid(),
        key_id,
        _digest(vault, key_id, secret),
        business_id,
        name,
        list(dict.fromkeys(scopes)),
        mode,
        expires_at,
        rate.per_second if rate else None,
        rate.burst if rate else None,
        networks,
    )
    return NewKey(key_id=key_id, plaintext=Secret(f"pb_{mode}_{key_id}_{secret}"))


async def rotate_key(transaction: Transaction, vault: Vault, key_id: str) -> NewKey:
    """Give a key a second secret; both open until the rotation is finished.

    Raises:
        NotFoundError: there is no such living key.
    """
    secret = _random(_SECRET_LENGTH)
    mode = await transaction.fetchval(
        """
        UPDATE api_key SET secret_hmac_next = $2 WHERE key_id = $1 AND revoked_at IS NULL
        RETURNING mode
        """,
        key_id,
        _digest(vault, key_id, secret),
    )
    if mode is None:
        raise NotFoundError("There is no such key.")
    return NewKey(key_id=key_id, plaintext=Secret(f"pb_{mode}_{key_id}_{secret}"))


async def finish_rotation(transaction: Transaction, key_id: str) -> None:
    """Let the first secret go; only the second opens from now on.

    Raises:
        NotFoundError: there is no such key, or it has one secret.
    """
    done = await transaction.fetchval(
        """
        UPDATE api_key SET secret_hmac = secret_hmac_next, secret_hmac_next = NULL
        WHERE key_id = $1 AND secret_hmac_next IS NOT NULL RETURNING key_id
        """,
        key_id,
    )
    if done is None:
        raise NotFoundError("There is no such key in rotation.")


async def list_keys(
    transaction: Transaction, business_id: UUID | None = None
) -> Sequence[ApiKeyRow]:
    """Return keys, the newest first; all that the role can see, or one business's."""
    rows = await transaction.fetch(
        f"""
        SELECT {_COLUMNS} FROM api_key
        WHERE $1::uuid IS NULL OR business_id = $1 ORDER BY id DESC
        """,
        business_id,
    )
    return [
        ApiKeyRow(
            **{
                **row,
                "scopes": tuple(row["scopes"]),
                "allowed_from": tuple(row["allowed_from"]),
            }
        )
        for row in rows
    ]


async def revoke_key(transaction: Transaction, key_id: str, *, now: datetime) -> None:
    """Take a key out of use for ever; repeating it changes nothing.

    Raises:
        NotFoundError: there is no such key.
    """
    found = await transaction.fetchval(
        """
        UPDATE api_key SET revoked_at = coalesce(revoked_at, $2) WHERE key_id = $1
        RETURNING key_id
        """,
        key_id,
        now,
    )
    if found is None:
        raise NotFoundError("There is no such key.")


@dataclass(slots=True)
class KeyRing:
    """Says who holds a key; one per process.

    Args:
        database: where the keys are.
        vault: hashes their secrets.
        clock: for expiry and for how long an answer is remembered.
    """

    database: Database
    vault: Vault
    clock: Clock
    rates: KeyRates = field(init=False)
    strangers: StrangerRates = field(init=False)
    _seen: OrderedDict[bytes, tuple[float, Caller]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        """Count for this ring alone what its process holds of each key's rate."""
        self.rates = KeyRates(self.database, self.clock)
        self.strangers = StrangerRates(self.clock)

    async def verify(self, plaintext: str, address: str | None = None) -> Caller:
        """Return who calls with this key.

        Args:
            plaintext: the key as it was sent.
            address: where the call came from, as far as it is known.

        Raises:
            UnauthenticatedError: malformed, unknown, wrong, revoked, not from this address, or
                (`key-expired`) too old.
            RateLimitedError: too many wrong keys came from there, and this one is not known.
        """
        mark = hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).digest()
        seen = self._seen.get(mark)
        if seen is not None and self.clock.monotonic() < seen[0]:
            caller = seen[1]
        else:
            caller = await self._fresh(mark, plaintext, address or "")
        if caller.allowed_from and not is_within(address, caller.allowed_from):
            raise UnauthenticatedError("This API key may not be used from this address.")
        if caller.expires_at is not None and caller.expires_at <= self.clock.now():
            raise UnauthenticatedError("This API key has expired.", code="key-expired")
        return caller

    async def _fresh(self, mark: bytes, plaintext: str, address: str) -> Caller:
        """Look a key up and remember it; one that has opened before is never held up."""
        if mark not in self._seen:
            self.strangers.admit(address)
        try:
            caller = await self._look_up(plaintext)
        except UnauthenticatedError:
            self._seen.pop(mark, None)
            self.strangers.count(address)
            raise
        self._seen[mark] = (self.clock.monotonic() + _REMEMBERED_SECONDS, caller)
        self._seen.move_to_end(mark)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    async def _look_up(self, plaintext: str) -> Caller:
        mode, key_id, secret = _split(plaintext)
        now = self.clock.now()
        async with self.database.engine() as transaction:
            row: Any = await transaction.fetchrow(
                f"SELECT {_COLUMNS}, secret_hmac, secret_hmac_next FROM api_key WHERE key_id = $1",
                key_id,
            )
            given = _digest(self.vault, key_id, secret)
            # Every comparison is made, so that the time tells nothing about which one failed.
            first = hmac.compare_digest(given, row["secret_hmac"] if row else b"")
            second = hmac.compare_digest(given, (row and row["secret_hmac_next"]) or b"")
            opens = first or second
            if row is None or not opens or row["revoked_at"] or row["mode"] != mode:
                raise _wrong_key()
            if row["last_used_at"] is None or row["last_used_at"] <= now - _USE_NOTED_EVERY:
                await transaction.execute(
                    """
                    UPDATE api_key SET last_used_at = $2
                    WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)
                    """,
                    key_id,
                    now,
                    now - _USE_NOTED_EVERY,
                )
            rate = Rate(row["rate_per_second"] or PER_SECOND, row["rate_burst"] or BURST)
            await self.rates.draw_early(transaction, key_id, rate)
        return Caller(
            key_id=key_id,
            name=row["name"],
            business_id=row["business_id"],
            scopes=frozenset(row["scopes"]),
            mode=mode,
            expires_at=row["expires_at"],
            rate=rate,
            allowed_from=tuple(row["allowed_from"]),
        )


async def _check_mode(transaction: Transaction, business_id: UUID | None, mode: str) -> None:
    if business_id is None:
        return
    found = await transaction.fetchval("SELECT mode FROM business WHERE id = $1", business_id)
    if found != mode:
        raise InvalidInputError(f"This is a {found} business; its keys have the same mode.")


def _split(plaintext: str) -> tuple[str, str, str]:
    parts = plaintext.split("_") if len(plaintext) <= _LONGEST and plaintext.isascii() else []
    if len(parts) != _PARTS or parts[0] != "pb" or parts[1] not in _MODES:
        raise _wrong_key()
    if not (parts[2].isalnum() and parts[3].isalnum()):
        raise _wrong_key()
    return parts[1], parts[2], parts[3]


def _wrong_key() -> UnauthenticatedError:
    return UnauthenticatedError("The API key is missing, wrong or revoked.")


def _digest(vault: Vault, key_id: str, secret: str) -> bytes:
    return vault.keyed_hash("api-key", f"{key_id}_{secret}".encode())


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
