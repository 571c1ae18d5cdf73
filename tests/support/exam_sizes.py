"""How large each exercise of the exam is: small in every test run, as written in the exam."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Any

SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # id: (small, as far as two cores go towards the written size)
    "A01-A06": ({"messages": 8, "batch": 64}, {"messages": 16, "batch": 64}),
    "A07": ({"events": 1}, {"events": 5}),
    "A08": ({"messages": 3}, {"messages": 20}),
    "A09": ({"bookings": 60, "kills": 2}, {"bookings": 10_000, "kills": 20}),
    "A10": ({"messages": 40, "outages": [1]}, {"messages": 400, "outages": [1, 10, 60]}),
    "A11": ({"messages": 40, "flushes": 3}, {"messages": 1000, "flushes": 12}),
    "A12": ({"asleep": 14.0}, {"asleep": 95.0}),
    "A13": ({"messages": 60, "restarts": 2}, {"messages": 3000, "restarts": 30}),
    "B01": ({"messages": 10, "late_ms": 1500}, {"messages": 500, "late_ms": 120_000}),
    "B03": ({"messages": 6}, {"messages": 100}),
    "B04": ({"messages": 40}, {"messages": 1000}),
    "B05": ({"messages": 20}, {"messages": 500}),
    "C01": (
        {"customers": 12, "messages": 6, "revocations": 8},
        {"customers": 200, "messages": 20, "revocations": 150},
    ),
    "C03": ({"revocations": 5}, {"revocations": 200}),
    "D04": ({"updates": 500}, {"updates": 10_000}),
    "E05": ({"messages": 60, "hang_share": 5}, {"messages": 2000, "hang_share": 20}),
    "E06": (
        {"caps": [1, 5, 20, 40], "workers": 2, "seconds": 68.0},
        {"caps": [1, 5, 10, 32, 33, 60, 120, 300], "workers": 4, "seconds": 200.0},
    ),
    "E09": ({"messages": 60}, {"messages": 600}),
    "F02": ({"messages": 10}, {"messages": 500}),
    "F05": ({"races": 16}, {"races": 1000}),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line, by the environment.

    Attributes:
        full: the written sizes instead of the small ones.
        repeat: how often each exercise is done.
        seed: where every random choice comes from.
    """

    full: bool
    repeat: int
    seed: int

    def size(self, exam_id: str) -> dict[str, Any]:
        """Return the size of one exercise."""
        return SIZES[exam_id][self.full]


def read_plan() -> Plan:
    """Read what was asked for."""
    told = os.environ
    return Plan(
        full=told.get("EXAM_SIZE") == "full",
        repeat=max(1, int(told.get("EXAM_REPEAT") or 1)),
        seed=int(told.get("EXAM_SEED") or secrets.randbelow(1_000_000)),
    )
