"""Slows down guessing: one count of tries per name and per address, shared by all processes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.ids import new_uuid

if TYPE_CHECKING:
    from core.channels.host import Vault
    from core.clock import Clock
    from core.db import Database

WINDOW: Final = timedelta(minutes=15)
PER_USER: Final = 10
PER_ADDRESS: Final = 30


class LoginLimit:
    """Counts tries in the database before anything expensive is done for them.

    A try is written first and counted with the others under a lock, so that tries that arrive
    together cannot slip past the limit.
    """

    def __init__(self, database: Database, clock: Clock, vault: Vault) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault

    async def admit(self, username: str, address: str) -> bool:
        """Count one try; False means too many, and nothing should be looked up for it."""
        keys = self._keys(username, address)
        now = self._clock.now()
        async with self._database.engine() as transaction:
            await transaction.fetch(
                "SELECT pg_advisory_xact_lock(key) FROM "
                "(SELECT ('x' || left(encode(k, 'hex'), 16))::bit(64)::bigint AS key "
                "FROM unnest($1::bytea[]) AS k ORDER BY 1) AS sorted",
                list(keys),
            )
            await transaction.execute("DELETE FROM login_attempt WHERE at <= $1", now - WINDOW)
            rows = await transaction.fetch(
                "SELECT key_hash, count(*) AS tries FROM login_attempt "
                "WHERE key_hash = ANY($1::bytea[]) GROUP BY key_hash",
                list(keys),
            )
            tries = {bytes(row["key_hash"]): row["tries"] for row in rows}
            limits = zip(keys, (PER_USER, PER_ADDRESS), strict=True)
            if any(tries.get(key, 0) >= limit for key, limit in limits):
                return False
            await transaction.execute(
                "INSERT INTO login_attempt (id, key_hash, at) "
                "SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[])",
                [new_uuid() for _ in keys],
                list(keys),
                [now for _ in keys],
            )
        return True

    async def forgive(self, username: str, address: str) -> None:
        """Forget the tries of a name that signed in, and this one try of its address."""
        user, place = self._keys(username, address)
        async with self._database.engine() as transaction:
            await transaction.execute("DELETE FROM login_attempt WHERE key_hash = $1", user)
            await transaction.execute(
                "DELETE FROM login_attempt WHERE id = (SELECT id FROM login_attempt "
                "WHERE key_hash = $1 ORDER BY at DESC, id DESC LIMIT 1)",
                place,
            )

    def _keys(self, username: str, address: str) -> tuple[bytes, bytes]:
        # Keyed, so that the table holds neither names nor addresses.
        return (
            self._vault.keyed_hash("login-user", username.casefold().encode()),
            self._vault.keyed_hash("login-address", address.encode()),
        )
