"""Where the time comes from: one injected clock, never the host's clock in passing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to; for tests and for looking into the future."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the time that was set."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds this clock was moved since it was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Move the clock instead of waiting."""
        self._elapsed += seconds
        await asyncio.sleep(0)

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._now += by
        self._elapsed += by.total_seconds()
