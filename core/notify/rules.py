"""Which event leads to which notice. The built-in rules; a business's own come on top later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from core.notify.events import NotificationEvent

_LONG_NOTICE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: this event, this template.

    Attributes:
        key: names the rule in decisions.
    """

    key: str
    event_type: str
    template: str


RULES: Final = (
    Rule(key="confirmed", event_type="booking.confirmed", template="booking_confirmed"),
    Rule(key="rescheduled", event_type="booking.rescheduled", template="booking_rescheduled"),
    Rule(key="canceled", event_type="booking.canceled", template="booking_canceled"),
    Rule(key="reminder-24h", event_type="booking.reminder_due", template="reminder_24h"),
    Rule(key="reminder-2h", event_type="booking.reminder_due", template="reminder_2h"),
)

REPLACING: Final = frozenset(
    {"booking.rescheduled", "booking.canceled", "booking.completed", "booking.no_show"}
)
"""Events after which the booking's waiting messages say something that is no longer true."""


def notices(event: NotificationEvent, now: datetime) -> list[Rule]:
    """Return the rules that this event sets off, in a fixed order."""
    fitting = [rule for rule in RULES if rule.event_type == event.type]
    if event.type != "booking.reminder_due" or event.booking is None:
        return fitting
    starts_at = event.booking.starts_at
    long_before = starts_at is not None and starts_at - now > _LONG_NOTICE
    wanted = "reminder-24h" if long_before else "reminder-2h"
    return [rule for rule in fitting if rule.key == wanted]
