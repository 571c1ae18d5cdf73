"""Scripted faults: what should go wrong with the next requests, in order."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from plugins.whatsapp.simulator.errors import GraphError
from plugins.whatsapp.simulator.numbers import strip_number

Kind = Literal[
    "status_500",
    "http_502_html",
    "throttle_429",
    "pair_131056",
    "error",
    "slow",
    "timeout_before",
    "reset_before",
    "timeout_after_accept",
    "reset_after_accept",
    "truncated_json",
    "hold_statuses",
    "duplicate_statuses",
    "reverse_statuses",
    "fail_status",
]

REFUSALS: Final = frozenset({"status_500", "throttle_429", "pair_131056", "error"})
BEFORE: Final = REFUSALS | {"http_502_html", "slow", "timeout_before", "reset_before"}
AFTER: Final = frozenset({"timeout_after_accept", "reset_after_accept", "truncated_json"})
STATUSES: Final = frozenset(
    {"hold_statuses", "duplicate_statuses", "reverse_statuses", "fail_status"},
)


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault; it is used up after ``times`` requests that match."""

    kind: Kind
    to: str | None = None
    edge: Annotated[str, msgspec.Meta(max_length=64)] = "messages"
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    code: int = 131000
    http_status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    details: str = ""
    ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] | None = None

    def build_error(self) -> GraphError:
        """Return the refusal this fault stands for."""
        if self.kind == "status_500":
            return GraphError(2, self.details or "Service temporarily unavailable",
                              status=500, is_transient=True)  # fmt: skip
        if self.kind == "throttle_429":
            return GraphError(130429, self.details or "Rate limit hit", status=429)
        if self.kind == "pair_131056":
            details = self.details or "Too many messages to this recipient in a short time."
            return GraphError(131056, details)
        return GraphError(self.code, self.details, status=self.http_status)


class Faults:
    """The list of faults, consumed from the front."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        """Append faults."""
        self.waiting.extend(faults)

    def clear(self) -> None:
        """Drop every fault that is left."""
        self.waiting.clear()

    def take(self, kinds: frozenset[str], edge: str, to: str) -> Fault | None:
        """Use up the first fault of these kinds that matches a request."""
        for fault in self.waiting:
            if fault.kind not in kinds or fault.edge != edge:
                continue
            if fault.to is not None and strip_number(fault.to) != to:
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.waiting.remove(fault)
            return fault
        return None
