"""Where the simulator's time comes from: the machine's clock, plus what was added by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time with an offset, so that a test can jump over 24 hours."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> datetime:
        """Return the simulated time of day, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._offset)

    def timestamp(self) -> float:
        """Return the simulated time as Unix seconds."""
        return time.time() + self._offset

    def monotonic(self) -> float:
        """Return seconds that never run backwards and that no offset moves."""
        return time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move the time of day forward."""
        self._offset += seconds

    def reset(self) -> None:
        """Go back to the machine's time."""
        self._offset = 0.0
