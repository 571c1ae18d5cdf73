"""SAQ's queue, on Redis or in PostgreSQL: a doorbell for the core, a work list for plugins.

Two things are ours here: a queue whose server is gone waits instead of spinning, and what SAQ
would log every second of such an outage becomes one line when it begins and one when it ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from psycopg import Error as PsycopgError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from saq.queue.postgres import ListenMultiplexer, PostgresQueue
from saq.queue.redis import RedisQueue

from core.errors import ConfigurationError, PluginContractError
from core.roles import QUEUE_SCHEMA

if TYPE_CHECKING:
    from saq import Job, Queue

    from core.channels.plugin import Task

NAME: Final = "patchbay"
LANES: Final = "core.lanes"
INBOX: Final = "core.inbox"

FAULTS: Final = (RedisError, PsycopgError, OSError, TimeoutError)
"""What the queue's server does to us when it is gone or slow."""

_WAIT_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 3
_SOCKET_SECONDS: Final = 8.0
_POOL_SIZE: Final = 3
_RETRY_DELAY: Final = 5.0

_log = structlog.get_logger("patchbay.queue")


class Line:
    """Knows whether the queue's server answers, and logs each change once."""

    def __init__(self) -> None:
        self.up = True

    def lost(self, error: BaseException) -> None:
        """Note that a call failed."""
        if self.up:
            self.up = False
            _log.warning("queue-lost", error=type(error).__name__)

    def back(self) -> None:
        """Note that a call worked."""
        if not self.up:
            self.up = True
            _log.info("queue-back")


class SteadyRedisQueue(RedisQueue):
    """A queue in Redis that rests while Redis is gone."""

    def __init__(self, url: str) -> None:
        client = aioredis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        super().__init__(client, name=NAME)
        self.line = Line()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - the library's signature
        """Wait for a job; None when there was none, or no Redis."""
        try:
            job = await super().dequeue(timeout, poll_interval)
        except FAULTS as error:
            await _rest(self.line, error)
            return None
        self.line.back()
        return job


class SteadyPostgresQueue(PostgresQueue):
    """A queue in PostgreSQL with few connections and short waits; makes no tables by itself."""

    def __init__(self, url: str) -> None:
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
            reconnect_timeout=_RETRY_DELAY,
            open=False,
        )
        super().__init__(
            pool, name=NAME, manage_pool_lifecycle=True, min_size=1, max_size=_POOL_SIZE
        )
        self.line = Line()
        self._listener = _Listener(pool, self._channel, self.line)

    async def init_db(self) -> None:
        """Look whether the tables are there; `prepare_queue` makes them.

        Raises:
            ConfigurationError: they are not.
        """
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT to_regclass('saq_jobs') IS NOT NULL")
            row = await cursor.fetchone()
        if not row or not row[0]:
            raise ConfigurationError("The queue has no tables yet; run `patchbay migrate`.")

    async def make_tables(self) -> None:
        """Make or update SAQ's tables."""
        await super().init_db()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - the library's signature
        """Wait for a job; None when there was none, or no PostgreSQL."""
        try:
            job = await super().dequeue(timeout, poll_interval)
        except FAULTS as error:
            await _rest(self.line, error)
            return None
        self.line.back()
        return job


class _Listener(ListenMultiplexer):
    """Hears of new jobs; when its connection breaks, the next wait opens another."""

    def __init__(self, pool: AsyncConnectionPool, channel: str, line: Line) -> None:
        super().__init__(pool, channel)
        self._line = line

    async def _start(self) -> None:
        try:
            await super()._start()
        except FAULTS as error:
            self._line.lost(error)


def make_queue(url: str) -> SteadyRedisQueue | SteadyPostgresQueue:
    """Make the queue of an address; connect it before use and disconnect it at the end."""
    return SteadyPostgresQueue(url) if _in_postgres(url) else SteadyRedisQueue(url)


async def connect(queue: Queue) -> None:
    """Connect a queue; a Redis that is gone is no reason not to start.

    Raises:
        ConfigurationError: a queue in PostgreSQL cannot be reached or was not prepared.
    """
    try:
        await queue.connect()
    except PoolTimeout as error:
        raise ConfigurationError("The queue's database cannot be reached.") from error


async def ping(queue: SteadyRedisQueue | SteadyPostgresQueue) -> None:
    """Ask the queue's server for a sign of life.

    Raises:
        RedisError, psycopg.Error, OSError: there is none.
    """
    if isinstance(queue, SteadyPostgresQueue):
        async with queue.pool.connection() as connection:
            await connection.execute("SELECT 1")
    else:
        await queue.redis.get("ping")


async def prepare_queue(url: str) -> None:
    """Make SAQ's tables in the schema that stands ready for them; nothing to do in Redis.

    Raises:
        ConfigurationError: the tables could not be made.
    """
    if not _in_postgres(url):
        return
    queue = SteadyPostgresQueue(url)
    try:
        await queue.pool.open(wait=True, timeout=_CONNECT_SECONDS * 2.0)
        await queue.make_tables()
        await queue.init_db()
    except (PsycopgError, PoolTimeout) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"The queue's tables cannot be made: {reason}.") from error
    finally:
        await queue.pool.close()


async def ring(queue: Queue, job: str) -> None:
    """Queue one of the core's jobs, unless one of its kind waits already.

    There are two keys per job: while the first is being worked on, a second one may wait behind
    it. A ring is thus never lost to one that started before it, and never more than two stand in
    a queue nobody empties.
    """
    for key in (job, f"{job}+"):
        if await queue.enqueue(job, key=key, ttl=-1, timeout=5) is not None:
            return


class TaskQueue:
    """Queues plugins' tasks by their full names; it is what channels are lent as `enqueue`.

    Attributes:
        known: the tasks that may be queued, filled in when the channels have been built.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.known: dict[str, Task] = {}

    async def __call__(self, task: str, /, **arguments: str) -> None:
        """Queue a task.

        Raises:
            PluginContractError: the channel declares no such task.
            RedisError, psycopg.Error, OSError: the queue's server is gone.
        """
        declared = self.known.get(task)
        if declared is None:
            raise PluginContractError(f"there is no task {task!r} to queue")
        # The arguments travel as one value, so that none is taken for an option of SAQ's.
        await self._queue.enqueue(
            task,
            kwargs={"arguments": arguments},
            retries=declared.retries,
            timeout=declared.timeout_seconds,
            retry_delay=_RETRY_DELAY,
            retry_backoff=True,
        )


def _in_postgres(url: str) -> bool:
    return url.startswith(("postgres://", "postgresql://"))


async def _rest(line: Line, error: BaseException) -> None:
    line.lost(error)
    await asyncio.sleep(_WAIT_SECONDS)
