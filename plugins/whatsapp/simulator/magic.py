"""Numbers with a fixed fate, reserved for fiction: +1 202 555 0100 to 0109."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plugins.whatsapp.simulator.errors import GraphError, refuse_token

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.clock import Clock

_PREFIX: Final = "120255501"
READ: Final = "12025550100"
NEVER_READ: Final = "12025550101"
NOT_ON_WHATSAPP: Final = "12025550102"
SECOND_RETRY: Final = "12025550103"
THROTTLED: Final = "12025550104"
PAUSED: Final = "12025550105"
SAYS_STOP: Final = "12025550106"
OUT_OF_ORDER: Final = "12025550107"
SILENT: Final = "12025550108"
SIGNED_OUT: Final = "12025550109"

THROTTLE_SECONDS: Final = 60
_FAILURES: Final = 2

Step = tuple[float, str]  # seconds after the step before, status


def plan_statuses(to: str, delay: float) -> list[Step]:
    """Return the statuses a message to this number will get."""
    ordinary = [(delay, "sent"), (delay, "delivered"), (delay, "read")]
    if not to.startswith(_PREFIX):
        return ordinary
    plans: dict[str, list[Step]] = {
        READ: [(0.3, "sent"), (0.4, "delivered"), (0.5, "read")],
        NEVER_READ: ordinary[:2],
        NOT_ON_WHATSAPP: [(delay, "failed")],
        SAYS_STOP: [*ordinary[:2], (delay, "stop")],
        OUT_OF_ORDER: [
            (delay, status)
            for status in ("read", "delivered", "sent", "read", "delivered", "sent")
        ],
        SILENT: [],
    }
    return plans.get(to, ordinary)


class MagicNumbers:
    """Refuses sends to the magic numbers whose fate is a refusal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str, str], int] = {}
        self._throttled_until: dict[tuple[str, str], float] = {}

    def refuse(self, phone_number_id: str, to: str, reference: str) -> None:
        """Raise what this number's fate asks for; other numbers pass."""
        if to == SECOND_RETRY:
            self._count_failure((phone_number_id, to, reference))
        elif to == THROTTLED:
            self._throttle((phone_number_id, to))
        elif to == PAUSED:
            raise GraphError(132015, "Template is paused due to low quality")
        elif to == SIGNED_OUT:
            raise refuse_token(463, "Session has expired.")

    def clear(self) -> None:
        """Forget what was counted."""
        self._failures.clear()
        self._throttled_until.clear()

    def _count_failure(self, key: tuple[str, str, str]) -> None:
        failures = self._failures.get(key, 0)
        if failures >= _FAILURES:
            self._failures.pop(key)
            return
        self._failures[key] = failures + 1
        raise GraphError(131016, "Service is temporarily unavailable", is_transient=True)

    def _throttle(self, key: tuple[str, str]) -> None:
        now = self._clock.timestamp()
        until = self._throttled_until.setdefault(key, now + THROTTLE_SECONDS)
        if now < until:
            raise GraphError(130429, "Cloud API message throughput has been reached.")
        del self._throttled_until[key]
