"""Doors to PostgreSQL: one pool per role, and the tenant set inside each transaction.

The role is a start-up parameter of the connection, so that even a reset brings it back; the
business is set transaction-locally, so that nothing of it is left when a connection goes back
to its pool (rulings B8).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from core.errors import ConfigurationError
from core.roles import APP, BATCH, ENGINE, PLATFORM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from uuid import UUID

    from core.channels.host import Transaction

_LOCK_TIMEOUT_MS: Final = 5_000
_STATEMENT_TIMEOUT_MS: Final = 30_000
_IDLE_TIMEOUT_MS: Final = 30_000

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSizes:
    """How many connections a process may hold per role."""

    app: int = 6
    batch: int = 2
    platform: int = 2
    engine: int = 6


@dataclass(slots=True)
class Database:
    """The pools of one process; open it before use, close it at the end.

    Args:
        url: the login's address; the login is a member of the four roles and inherits nothing.
        sizes: connections per role; pools open their connections when they are first needed.
    """

    url: str = field(repr=False)
    sizes: PoolSizes = field(default_factory=PoolSizes)
    _pools: dict[str, asyncpg.Pool] = field(default_factory=dict, repr=False)

    async def open(self) -> None:
        """Open the pools.

        Raises:
            ConfigurationError: the server cannot be reached or the login may do too much.
        """
        wanted = {
            APP: self.sizes.app,
            BATCH: self.sizes.batch,
            PLATFORM: self.sizes.platform,
            ENGINE: self.sizes.engine,
        }
        for role, size in wanted.items():
            if size:
                self._pools[role] = asyncpg.create_pool(
                    self.url,
                    min_size=0,
                    max_size=size,
                    init=_prepare_connection,
                    command_timeout=60,
                    max_inactive_connection_lifetime=300,
                    server_settings=_server_settings(role),
                )
        try:
            for pool in self._pools.values():
                await pool
            async with self.engine() as transaction:
                faults = await _login_faults(transaction)
        except (OSError, asyncpg.PostgresError) as error:
            await self.close()
            raise ConfigurationError(f"The database cannot be used: {error}.") from error
        if faults:
            await self.close()
            raise ConfigurationError(*faults)

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()

    @asynccontextmanager
    async def business(self, business_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one business and nothing else."""
        async with self._transaction(APP) as connection:
            await connection.execute(
                "SELECT set_config('app.business_id', $1, true)", str(business_id)
            )
            yield connection

    @asynccontextmanager
    async def batch(self, business_ids: Iterable[UUID]) -> AsyncIterator[Transaction]:
        """Open a transaction that sees the businesses of one group of requests."""
        async with self._transaction(BATCH) as connection:
            listed = "{" + ",".join(str(one) for one in business_ids) + "}"
            await connection.execute("SELECT set_config('app.business_ids', $1, true)", listed)
            yield connection

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Transaction]:
        """Open a transaction for an operator of the platform: sees all, writes what is named."""
        async with self._transaction(PLATFORM) as connection:
            yield connection

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Transaction]:
        """Open a transaction for the engine: the worker, the inbox, the look-up of keys."""
        async with self._transaction(ENGINE) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, role: str) -> AsyncIterator[asyncpg.Connection]:
        # Releasing in `finally` also covers a COMMIT that fails: the pool resets the connection.
        pool = self._pools[role]
        connection = await pool.acquire(timeout=10)
        try:
            async with connection.transaction():
                yield connection
        finally:
            await pool.release(connection)


def affected(tag: str) -> int:
    """Return how many rows a statement touched, from its command tag."""
    return int(tag.rpartition(" ")[2] or 0)


def _server_settings(role: str) -> dict[str, str]:
    return {
        "role": role,
        "application_name": f"patchbay {role}",
        "timezone": "UTC",
        "lock_timeout": str(_LOCK_TIMEOUT_MS),
        "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(_IDLE_TIMEOUT_MS),
    }


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + _encode(value),
        decoder=lambda raw: msgspec.json.decode(raw[1:]),
        format="binary",
    )


async def _login_faults(transaction: Transaction) -> list[str]:
    """Say what the login may do that it must not (rulings B8)."""
    row: Any = await transaction.fetchrow(
        """
        SELECT session_user AS login, r.rolsuper, r.rolbypassrls, r.rolinherit,
               EXISTS (SELECT FROM pg_class c
                       WHERE c.relowner = r.oid AND c.relkind = 'r'
                         AND c.relnamespace = 'public'::regnamespace) AS owns
        FROM pg_roles r WHERE r.rolname = session_user
        """
    )
    faults = {
        "is a superuser": row["rolsuper"],
        "steps over row-level security (BYPASSRLS)": row["rolbypassrls"],
        "inherits the rights of its roles (make it NOINHERIT)": row["rolinherit"],
        "owns tables": row["owns"],
    }
    return [
        f"The database login {row['login']} {fault}; use the login that `patchbay migrate` made."
        for fault, found in faults.items()
        if found
    ]


@asynccontextmanager
async def savepoint(transaction: Transaction) -> AsyncIterator[None]:
    """Open a part of a transaction that can fail alone."""
    connection: Any = transaction
    async with connection.transaction():
        yield
