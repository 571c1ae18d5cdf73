"""How many sends one business may have on its way on one channel, in one process.

A provider that hangs would otherwise hold every slot its business may have, for as long as it
hangs. A lane whose sends take long is cut to a few, until one of them is quick again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from core.limits.lanes import LaneKey

SLOW_SHARE: Final = 4
SLOW_SECONDS: Final = 3.0
_REMEMBERED_SECONDS: Final = 60.0


@dataclass(slots=True)
class Shares:
    """Counts what each lane has on its way, and remembers which are slow.

    Args:
        most: the share of a lane that answers in time.
        slow_seconds: a send that takes longer cuts its lane's share.
    """

    most: int
    slow_seconds: float = SLOW_SECONDS
    busy: Counter[LaneKey] = field(default_factory=Counter)
    _begun: dict[LaneKey, dict[UUID, float]] = field(default_factory=lambda: defaultdict(dict))
    _slow: dict[LaneKey, float] = field(default_factory=dict)

    def of(self, lane: LaneKey, now: float) -> int:
        """Return how many sends a lane may have on its way at once."""
        return min(SLOW_SHARE, self.most) if self.is_slow(lane, now) else self.most

    def is_slow(self, lane: LaneKey, now: float) -> bool:
        """Tell whether a lane's sends take long: one now, or the last one that ended."""
        oldest = next(iter(self._begun[lane].values()), now) if lane in self._begun else now
        if now - oldest >= self.slow_seconds:
            self._slow[lane] = now
        seen = self._slow.get(lane)
        if seen is not None and now - seen >= _REMEMBERED_SECONDS:
            del self._slow[lane]
            return False
        return seen is not None or lane in self._slow

    def reserve(self, lanes: Iterable[LaneKey]) -> None:
        """Count messages that are about to begin."""
        self.busy.update(lanes)

    def begin(self, lane: LaneKey, message: UUID, now: float) -> None:
        """Note that a message is handed over."""
        self._begun[lane][message] = now

    def end(self, lane: LaneKey, message: UUID, now: float) -> None:
        """Note that an answer came: how long it took decides about the lane's share."""
        started = self._begun[lane].pop(message, now)
        if not self._begun[lane]:
            del self._begun[lane]
        if now - started >= self.slow_seconds:
            self._slow[lane] = now
        else:
            self._slow.pop(lane, None)

    def release(self, lane: LaneKey) -> None:
        """Count one less."""
        self.busy[lane] -= 1
        if self.busy[lane] <= 0:
            del self.busy[lane]
