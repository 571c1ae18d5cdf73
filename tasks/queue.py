"""SAQ's queue, on Redis or in PostgreSQL: a doorbell for the core, a work list for plugins.

Two things are ours here: a queue whose server is gone waits instead of spinning, and what SAQ
would log every second of such an outage becomes one line when it begins and one when it ends.
Only the half that is used is imported: each of the two clients costs start-up time and memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.errors import PluginContractError

if TYPE_CHECKING:
    from core.channels.plugin import Task
    from tasks.postgres_queue import SteadyPostgresQueue
    from tasks.redis_queue import SteadyRedisQueue

    SteadyQueue = SteadyRedisQueue | SteadyPostgresQueue

NAME: Final = "patchbay"
LANES: Final = "core.lanes"
INBOX: Final = "core.inbox"

_RETRY_DELAY: Final = 5.0


def make_queue(url: str) -> SteadyQueue:
    """Make the queue of an address; connect it before use and disconnect it at the end."""
    if _in_postgres(url):
        from tasks.postgres_queue import SteadyPostgresQueue  # noqa: PLC0415 - see the module

        return SteadyPostgresQueue(url, NAME)
    from tasks.redis_queue import SteadyRedisQueue  # noqa: PLC0415 - see the module

    return SteadyRedisQueue(url, NAME)


async def connect(queue: SteadyQueue) -> None:
    """Connect a queue; a Redis that is gone is no reason not to start.

    Raises:
        ConfigurationError: a queue in PostgreSQL cannot be reached or was not prepared.
    """
    await queue.open()


async def prepare_queue(url: str) -> None:
    """Make SAQ's tables in the schema that stands ready for them; nothing to do in Redis.

    Raises:
        ConfigurationError: the tables could not be made.
    """
    if _in_postgres(url):
        from tasks.postgres_queue import SteadyPostgresQueue  # noqa: PLC0415 - see the module

        await SteadyPostgresQueue(url, NAME).make_tables()


async def ring(queue: SteadyQueue, job: str) -> None:
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

    def __init__(self, queue: SteadyQueue) -> None:
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
