"""Runs a step again and again: at once while there is work, else when rung or once a second."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tasks.line import Line

POLL_SECONDS: Final = 1.0

DATABASE_FAULTS: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)
"""What the database does to us when it is gone, stopping, starting or full."""

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 2.0

_log = structlog.get_logger("patchbay.worker")


async def keep_going(
    name: str,
    step: Callable[[], Awaitable[bool]],
    *,
    stop: asyncio.Event,
    bell: asyncio.Event,
    line: Line,
    every: float = POLL_SECONDS,
) -> None:
    """Run a step until told to stop; an error makes it pause, never end.

    Args:
        name: for the log.
        step: does one bounded piece of work; True means that there may be more.
        stop: ends the loop after the step under way.
        bell: wakes the loop; set it together with `stop`.
        line: notes whether the database answers.
        every: seconds between looks when nobody rings.
    """
    pause = _FIRST_PAUSE
    failing = ""
    down = False
    while not stop.is_set():
        bell.clear()
        try:
            more = await step()
        except DATABASE_FAULTS as error:
            line.lost(error)
            down = True
            await _wait(stop, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        except Exception as error:  # noqa: BLE001 - one of the two places that catch broadly
            # One fault that repeats is one line, not one a second.
            if failing != type(error).__name__:
                failing = type(error).__name__
                _log.exception("loop-failed", loop=name)
            await _wait(stop, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        if down:
            # Only who was refused knows: a step with nothing to do asks no database.
            down = False
            line.back()
        if failing:
            failing = ""
            _log.info("loop-works-again", loop=name)
        pause = _FIRST_PAUSE
        if not more and not stop.is_set():
            await _wait(bell, every)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
