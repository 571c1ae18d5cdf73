"""SAQ's queue in PostgreSQL, in a schema of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from psycopg import Error as PsycopgError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from saq.queue.postgres import ListenMultiplexer, PostgresQueue

from core.errors import ConfigurationError
from core.roles import QUEUE_SCHEMA
from tasks.line import Line

if TYPE_CHECKING:
    from saq import Job

_CONNECT_SECONDS: Final = 3
_RECONNECT_SECONDS: Final = 5.0
_POOL_SIZE: Final = 3
_REST_SECONDS: Final = 1.0

# The pool tells of every attempt to connect again; the queue's line tells of it once.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class SteadyPostgresQueue(PostgresQueue):
    """A queue in PostgreSQL with few connections and short waits; makes no tables by itself.

    Attributes:
        faults: what is raised when the server is gone or slow.
        patience: seconds that one wait for a job may take; 0 is as long as it takes.
    """

    faults: tuple[type[Exception], ...] = (PsycopgError, OSError, TimeoutError)
    patience = 0.0

    def __init__(self, url: str, name: str) -> None:
        pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=_POOL_SIZE,
            kwargs={
                "connect_timeout": _CONNECT_SECONDS,
                "application_name": "patchbay queue",
                "options": f"-c search_path={QUEUE_SCHEMA} -c statement_timeout=10000",
            },
            check=AsyncConnectionPool.check_connection,
            timeout=float(_CONNECT_SECONDS),
            reconnect_timeout=_RECONNECT_SECONDS,
            open=False,
        )
        super().__init__(
            pool, name=name, manage_pool_lifecycle=True, min_size=1, max_size=_POOL_SIZE
        )
        self.line = Line("queue")
        self._listener = _Listener(pool, self._channel, self.line)

    async def init_db(self) -> None:
        """Look whether the tables are there; `make_tables` makes them.

        Raises:
            ConfigurationError: they are not.
        """
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT to_regclass('saq_jobs') IS NOT NULL")
            row = await cursor.fetchone()
        if not row or not row[0]:
            raise ConfigurationError("The queue has no tables yet; run `patchbay migrate`.")

    async def make_tables(self) -> None:
        """Make or update SAQ's tables.

        Raises:
            ConfigurationError: they could not be made.
        """
        try:
            await self.pool.open(wait=True, timeout=_CONNECT_SECONDS * 2.0)
            await super().init_db()
            await self.init_db()
        except (PsycopgError, PoolTimeout) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"The queue's tables cannot be made: {reason}.") from error
        finally:
            await self.pool.close()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - the library's signature
        """Wait for a job; None when there was none, or no PostgreSQL."""
        try:
            job = await super().dequeue(timeout, poll_interval)
        except self.faults as error:
            self.line.lost(error)
            await asyncio.sleep(_REST_SECONDS)
            return None
        return job

    async def _dequeue(self) -> None:
        if not self._dequeue_lock.locked():
            await super()._dequeue()
            self.line.back()

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: the server cannot be reached, or the tables are not there.
        """
        try:
            await self.connect()
        except (PsycopgError, PoolTimeout) as error:
            await self.pool.close()
            raise ConfigurationError("The queue's database cannot be reached.") from error
        except ConfigurationError:
            await self.pool.close()
            raise

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            psycopg.Error, OSError: there is none.
        """
        async with self.pool.connection() as connection:
            await connection.execute("SELECT 1")


class _Listener(ListenMultiplexer):
    """Hears of new jobs; when its connection breaks, the next wait opens another."""

    def __init__(self, pool: AsyncConnectionPool, channel: str, line: Line) -> None:
        super().__init__(pool, channel)
        self._line = line

    async def _start(self) -> None:
        try:
            await super()._start()
        except SteadyPostgresQueue.faults as error:
            self._line.lost(error)
