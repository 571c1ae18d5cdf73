"""What a measure prints: rate, waits, processor time, and what went wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.usage import cpu_seconds, tree_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(slots=True)
class Meter:
    """Takes the time, and the processor time of one process and of PostgreSQL.

    Args:
        own: the process under test.
        server: PostgreSQL's first process; 0 where it is not ours to look at.
    """

    own: int
    server: int
    seconds: float = 0.0
    own_cpu: float = 0.0
    server_cpu: float = 0.0
    _began: tuple[float, float, float] = field(init=False, default=(0.0, 0.0, 0.0))

    def start(self) -> None:
        """Begin."""
        self._began = self._now()

    def stop(self) -> None:
        """End; the sums are ready."""
        began, ended = self._began, self._now()
        self.seconds, self.own_cpu, self.server_cpu = (
            after - before for before, after in zip(began, ended, strict=True)
        )

    def line(self, name: str, count: int, *, what: str = "messages") -> str:
        """Say it in one line; CPU in seconds for each 1,000."""
        share = 1000 / max(1, count)
        return (
            f"  {name}: {count / max(self.seconds, 1e-9):,.0f} {what}/s, CPU per 1,000: "
            f"own {self.own_cpu * share:.3f} s, PostgreSQL {self.server_cpu * share:.3f} s"
        )

    def _now(self) -> tuple[float, float, float]:
        server = tree_seconds(self.server) if self.server else 0.0
        return time.perf_counter(), cpu_seconds(self.own), server


def waits(milliseconds: Iterable[float]) -> str:
    """Return the median and the slowest hundredth."""
    ordered = sorted(milliseconds)
    return f"p50 {_at(ordered, 0.50):.1f} ms, p99 {_at(ordered, 0.99):.1f} ms"


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
