"""Time comes from one place, aware and in UTC, and stands still when told to."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from core.clock import Clock, ManualClock, SystemClock

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def test_the_systems_time_is_aware_and_utc() -> None:
    """No naive time enters the house."""
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now.timestamp() - time.time()) < 5


async def test_the_system_clock_waits() -> None:
    """Sleeping takes the time it says, measured by the clock that never runs back."""
    clock: Clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.02)
    assert 0.015 <= clock.monotonic() - before < 2


def test_a_manual_clock_moves_only_when_told() -> None:
    """Between two readings nothing passes; an advance moves both kinds of time."""
    clock = ManualClock(START)
    assert (clock.now(), clock.now()) == (START, START)
    clock.advance(timedelta(minutes=90))
    assert clock.now() == START + timedelta(minutes=90)
    assert clock.monotonic() == 5400


async def test_sleeping_on_a_manual_clock_takes_no_time() -> None:
    """A test of an hour's wait is over at once, and the wait is on the clock."""
    clock = ManualClock(START)
    before = time.monotonic()
    await clock.sleep(3600)
    assert time.monotonic() - before < 1
    assert clock.monotonic() == 3600
