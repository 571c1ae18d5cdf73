"""Rings: wakes lanes in the database first, and only then presses the bell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from core.limits import lanes
from tasks.queue import INBOX, LANES, ring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from uuid import UUID

    from core.db import Database
    from tasks.queue import SteadyQueue

COALESCE_SECONDS: Final = 0.010
REST_SECONDS: Final = 0.050
PRESS_SECONDS: Final = 0.250

_log = structlog.get_logger("patchbay.ring")


class CoalescingRing:
    """Collects what becomes due for 10 ms, wakes the lanes in one transaction, then presses.

    It presses at most once per 50 ms and waits 250 ms at the longest. Whatever fails is counted
    and left: workers look at the database once a second, and sleeping lanes are swept.

    Args:
        database: where the lanes are.
        press: tells a worker; called with the name of one of the core's jobs.
        faults: what it raises when it cannot.
    """

    def __init__(
        self,
        database: Database,
        press: Callable[[str], Awaitable[None]],
        faults: tuple[type[Exception], ...] = (),
    ) -> None:
        self._database = database
        self._faults: tuple[type[Exception], ...] = (*faults, TimeoutError)
        self._press = press
        self._keys: set[tuple[UUID, str]] = set()
        self._bells: set[str] = set()
        self._pressed: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._quiet = False
        self.lost_wakes = 0
        self.lost_rings = 0

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Wake these lanes soon."""
        self._keys.update(keys)
        if self._keys:
            self._start()

    def inbox(self) -> None:
        """Say that the inbox has rows."""
        self._bells.add(INBOX)
        self._start()

    async def close(self) -> None:
        """Deliver what was collected; nothing is taken afterwards."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2.0)
            self._task.cancel()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver(), name="ring")

    async def _deliver(self) -> None:
        while self._keys or self._bells:
            await asyncio.sleep(COALESCE_SECONDS)
            await self._wake()
            for bell in tuple(self._bells):
                await self._press_once(bell)

    async def _wake(self) -> None:
        keys, self._keys = self._keys, set()
        if not keys:
            return
        try:
            async with self._database.engine() as transaction:
                await lanes.wake(transaction, keys)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.lost_wakes += 1
        else:
            self._bells.add(LANES)

    async def _press_once(self, bell: str) -> None:
        loop = asyncio.get_running_loop()
        rest = self._pressed.get(bell, 0.0) + REST_SECONDS - loop.time()
        if rest > 0:
            await asyncio.sleep(rest)
            await self._wake()
        self._bells.discard(bell)
        self._pressed[bell] = loop.time()
        try:
            async with asyncio.timeout(PRESS_SECONDS):
                await self._press(bell)
        except self._faults as error:
            self.lost_rings += 1
            if not self._quiet:
                self._quiet = True
                _log.warning("rings-unheard", error=type(error).__name__)
        else:
            if self._quiet:
                self._quiet = False
                _log.info("rings-heard-again", unheard=self.lost_rings)


class SaqRing(CoalescingRing):
    """Rings workers through SAQ's queue."""

    def __init__(self, database: Database, queue: SteadyQueue) -> None:
        async def press(bell: str) -> None:
            await ring(queue, bell)

        super().__init__(database, press, queue.faults)


class Bells:
    """The events a worker's loops wait for, by the name of the job that sets them."""

    def __init__(self) -> None:
        self.lanes = asyncio.Event()
        self.inbox = asyncio.Event()

    async def press(self, bell: str) -> None:
        """Wake the loop that this bell is for."""
        (self.lanes if bell == LANES else self.inbox).set()


class InProcessRing(CoalescingRing):
    """Rings the loops of this very process: what a worker itself makes due."""

    def __init__(self, database: Database, bells: Bells) -> None:
        super().__init__(database, bells.press)
