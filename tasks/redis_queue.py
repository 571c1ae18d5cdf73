"""SAQ's queue in Redis."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from saq.queue.redis import RedisQueue

from tasks.line import Line

if TYPE_CHECKING:
    from saq import Job

_CONNECT_SECONDS: Final = 3.0
_SOCKET_SECONDS: Final = 8.0
_REST_SECONDS: Final = 1.0


class SteadyRedisQueue(RedisQueue):
    """A queue in Redis that rests while Redis is gone.

    Attributes:
        faults: what is raised when Redis is gone or slow.
        patience: seconds that one wait for a job may take; below the socket's own limit.
    """

    faults: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
    patience = 5.0

    def __init__(self, url: str, name: str) -> None:
        client = aioredis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        super().__init__(client, name=name)
        self.line = Line("queue")

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - the library's signature
        """Wait for a job; None when there was none, or no Redis."""
        try:
            job = await super().dequeue(timeout, poll_interval)
        except self.faults as error:
            self.line.lost(error)
            await asyncio.sleep(_REST_SECONDS)
            return None
        self.line.back()
        return job

    async def open(self) -> None:
        """Open nothing: connections come when they are needed, and so may Redis."""

    async def disconnect(self) -> None:
        """Let go of the connections; a Redis that is gone holds none."""
        with contextlib.suppress(*self.faults):
            await super().disconnect()

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            RedisError, OSError: there is none.
        """
        await self.redis.get("ping")
