"""Meta's rate limits, off unless asked for: by sending number and by pair of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plugins.whatsapp.simulator.errors import GraphError

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.clock import Clock

_PAIR_SECONDS: Final = 6.0
_PAIR_BURST: Final = 45


class Bucket:
    """A leaky bucket for each key: ``burst`` messages at once, then one each ``pause`` seconds."""

    def __init__(self, clock: Clock, burst: int, pause: float) -> None:
        self._clock = clock
        self._burst = burst
        self._pause = pause
        self._empty_at: dict[tuple[str, ...], float] = {}

    def has_room(self, *key: str) -> bool:
        """Tell whether one more message fits."""
        # Half a message of tolerance: levels are differences of large times.
        return self._level(key) <= (self._burst - 0.5) * self._pause

    def fill(self, *key: str) -> None:
        """Count one message."""
        self._empty_at[key] = self._clock.timestamp() + self._level(key) + self._pause

    def clear(self) -> None:
        """Forget what was counted."""
        self._empty_at.clear()

    def _level(self, key: tuple[str, ...]) -> float:
        return max(0.0, self._empty_at.get(key, 0.0) - self._clock.timestamp())


class Limits:
    """Refuses messages beyond the throughput of a number or the pace of a pair."""

    def __init__(self, clock: Clock, throughput: int, *, has_pair_limit: bool) -> None:
        self._pairs = Bucket(clock, _PAIR_BURST, _PAIR_SECONDS) if has_pair_limit else None
        self._numbers = Bucket(clock, throughput, 1 / throughput) if throughput else None

    def count(self, phone_number_id: str, to: str) -> None:
        """Count a message that is otherwise right, or refuse it with 131056 or 130429."""
        if self._pairs is not None and not self._pairs.has_room(phone_number_id, to):
            raise GraphError(131056, "Too many messages to this recipient in a short time.")
        if self._numbers is not None:
            if not self._numbers.has_room(phone_number_id):
                raise GraphError(130429, "Cloud API message throughput has been reached.")
            self._numbers.fill(phone_number_id)
        if self._pairs is not None:
            self._pairs.fill(phone_number_id, to)

    def clear(self) -> None:
        """Forget what was counted."""
        for bucket in (self._pairs, self._numbers):
            if bucket is not None:
                bucket.clear()
