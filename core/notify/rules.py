"""Which event leads to which notice, and when: the built-in rules, and a business's own on top.

The built-in rules hold for every business without any row; a row with the same key replaces one.
A rule with a lead is planned: the events that make or move a booking put its notice into the
future, and `booking.reminder_due` sets it off at once for callers with a scheduler of their own.
"""

from __future__ import annotations

from datetime import time, timedelta
from math import log
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from core.notify.events import NotificationEvent

REMINDER: Final = "booking.reminder_due"
PLANNING: Final = frozenset({"booking.confirmed", "booking.imported", "booking.rescheduled"})
"""Events after which a booking's notices are planned anew."""


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """When nobody is written to, by the clock on the customer's wall; it may span midnight.

    Attributes:
        mode: `defer` to the end of the quiet hours, or `skip` the notice.
    """

    start: time
    end: time
    mode: str = "defer"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: this event, this template, at this moment.

    Attributes:
        key: names the rule in decisions.
        channels: the channels to use, best first; none named means the business's own order.
            Where one cannot deliver, the next takes over.
        fallback_after: a message that has not arrived so long after it was sent is followed by
            the next channel too; None waits for a failure.
        lead: how long before the start the notice goes out; None is at once.
        minimum_notice: with less time than this to the start the notice is not made.
        languages: what to try after the customer's own; none named means the business's.
        variables: what is written where an event brings no value.
        version: of the business's row; 0 is the built-in rule.
    """

    key: str
    event_type: str
    template: str
    channels: tuple[str, ...] = ()
    lead: timedelta | None = None
    minimum_notice: timedelta = timedelta()
    quiet: QuietHours | None = None
    languages: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    enabled: bool = True
    version: int = 0
    fallback_after: timedelta | None = None


BUILT_IN: Final = {
    rule.key: rule
    for rule in (
        Rule(key="confirmed", event_type="booking.confirmed", template="booking_confirmed"),
        Rule(key="rescheduled", event_type="booking.rescheduled", template="booking_rescheduled"),
        Rule(key="canceled", event_type="booking.canceled", template="booking_canceled"),
        Rule(
            key="reminder-24h",
            event_type=REMINDER,
            template="reminder_24h",
            lead=timedelta(hours=24),
        ),
        Rule(
            key="reminder-2h", event_type=REMINDER, template="reminder_2h", lead=timedelta(hours=2)
        ),
    )
}


def merged(own: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that hold: the built-in ones, replaced and followed by a business's own."""
    rules = BUILT_IN | {rule.key: rule for rule in sorted(own, key=lambda rule: rule.key)}
    return tuple(rules.values())


def is_planned(rule: Rule, event: NotificationEvent) -> bool:
    """Tell whether an event plans a rule's notice instead of setting it off."""
    return rule.lead is not None and event.type in PLANNING


def notices(event: NotificationEvent, rules: Sequence[Rule], now: datetime) -> list[Rule]:
    """Return the rules that this event sets off or plans, in the rules' order."""
    if event.type == REMINDER:
        return _nearest_reminder(event, rules, now)
    return [rule for rule in rules if rule.event_type == event.type or is_planned(rule, event)]


def _nearest_reminder(
    event: NotificationEvent, rules: Sequence[Rule], now: datetime
) -> list[Rule]:
    """Return the reminder that fits the time that is left best."""
    reminders = [(rule, rule.lead) for rule in rules if rule.event_type == REMINDER and rule.lead]
    if not reminders or event.booking is None or event.booking.starts_at is None:
        return []
    left = max(event.booking.starts_at - now, timedelta(minutes=1))
    nearest = min(reminders, key=lambda one: (abs(log(left / one[1])), one[0].key))
    return [nearest[0]]
