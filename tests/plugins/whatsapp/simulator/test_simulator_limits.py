"""Rate limits: counted by number and by pair, and only when asked for."""

from __future__ import annotations

import pytest

from plugins.whatsapp.simulator.clock import Clock
from plugins.whatsapp.simulator.errors import GraphError
from plugins.whatsapp.simulator.limits import Limits


class StoppedClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_795_000_000.0

    def timestamp(self) -> float:
        """Return the time it was moved to."""
        return self.at


def test_pair_may_send_45_at_once_and_then_one_in_six_seconds() -> None:
    """The burst is borrowed from the time after it; other pairs are not touched."""
    clock = StoppedClock()
    limits = Limits(clock, 0, has_pair_limit=True)
    for _ in range(45):
        limits.count("800", "34600111222")
    with pytest.raises(GraphError) as refused:
        limits.count("800", "34600111222")
    assert refused.value.code == 131056
    limits.count("800", "34600111223")
    limits.count("801", "34600111222")
    clock.at += 6
    limits.count("800", "34600111222")
    with pytest.raises(GraphError):
        limits.count("800", "34600111222")


def test_number_may_send_its_throughput_each_second() -> None:
    """The limit holds over all recipients of a number and comes back with time."""
    clock = StoppedClock()
    limits = Limits(clock, 80, has_pair_limit=False)
    for place in range(80):
        limits.count("800", str(place))
    with pytest.raises(GraphError) as refused:
        limits.count("800", "x")
    assert (refused.value.code, refused.value.status) == (130429, 400)
    limits.count("801", "x")
    clock.at += 0.5
    for place in range(40):
        limits.count("800", str(place))
    with pytest.raises(GraphError):
        limits.count("800", "x")


def test_refused_pair_does_not_use_up_the_throughput() -> None:
    """A message that one limit refuses is not counted by the other."""
    limits = Limits(StoppedClock(), 50, has_pair_limit=True)
    for _ in range(45):
        limits.count("800", "a")
    for _ in range(20):
        with pytest.raises(GraphError, match="131056"):
            limits.count("800", "a")
    for _ in range(5):
        limits.count("800", "b")
    with pytest.raises(GraphError, match="130429"):
        limits.count("800", "b")


def test_without_limits_nothing_is_counted_and_a_reset_forgets() -> None:
    """A benchmark is not held back; after a reset the count begins anew."""
    free = Limits(StoppedClock(), 0, has_pair_limit=False)
    for _ in range(1000):
        free.count("800", "a")
    limits = Limits(StoppedClock(), 1, has_pair_limit=True)
    limits.count("800", "a")
    with pytest.raises(GraphError):
        limits.count("800", "a")
    limits.clear()
    limits.count("800", "a")
