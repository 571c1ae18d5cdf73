"""Which rules an event sets off or plans, and whose rule holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.notify.events import EVENT_TYPES, Booking, EventCustomer, NotificationEvent
from core.notify.rules import BUILT_IN, REMINDER, Rule, is_planned, merged, notices

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
RULES = merged(())


def event(kind: str, hours: float = 48) -> NotificationEvent:
    """Build an event of a booking so many hours ahead."""
    return NotificationEvent(
        id="e-1",
        source="/booking",
        type=kind,
        time=NOW,
        business_ref="salon",
        booking=Booking(ref="B-1", starts_at=NOW + timedelta(hours=hours)),
        customer=EventCustomer(id="c-1"),
    )


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("booking.confirmed", ["confirmed", "reminder-24h", "reminder-2h"]),
        ("booking.imported", ["reminder-24h", "reminder-2h"]),
        ("booking.rescheduled", ["rescheduled", "reminder-24h", "reminder-2h"]),
        ("booking.canceled", ["canceled"]),
        ("booking.completed", []),
        ("booking.no_show", []),
        ("customer.updated", []),
    ],
)
def test_each_event_has_its_notices(kind: str, keys: list[str]) -> None:
    """What makes or moves a booking plans the reminders; an end plans nothing."""
    assert kind in EVENT_TYPES
    assert [rule.key for rule in notices(event(kind), RULES, NOW)] == keys
    planned = [rule.key for rule in RULES if is_planned(rule, event(kind))]
    assert planned == [key for key in keys if key.startswith("reminder")]


@pytest.mark.parametrize(
    ("hours", "key"),
    [(48, "reminder-24h"), (23, "reminder-24h"), (3, "reminder-2h"), (-1, "reminder-2h")],
)
def test_a_reminder_that_is_due_is_the_one_that_fits(hours: float, key: str) -> None:
    """A caller's own scheduler need not name the rule: the time that is left does."""
    assert [rule.key for rule in notices(event(REMINDER, hours), RULES, NOW)] == [key]


def test_without_a_start_no_reminder_fits() -> None:
    """Nothing can be said of when."""
    bare = NotificationEvent(
        id="e-1",
        source="/booking",
        type=REMINDER,
        time=NOW,
        business_ref="salon",
        booking=Booking(ref="B-1"),
        customer=EventCustomer(id="c-1"),
    )
    assert notices(bare, RULES, NOW) == []


def test_a_businesss_own_rule_holds_by_its_key() -> None:
    """It stands in the built-in one's place; a new key comes behind, in a fixed order."""
    own = [
        Rule(key="thanks", event_type="booking.completed", template="thanks", version=1),
        Rule(key="confirmed", event_type="booking.confirmed", template="welcome", version=3),
        Rule(key="again", event_type="booking.no_show", template="again", version=1),
    ]
    rules = merged(own)
    assert [rule.key for rule in rules] == [*BUILT_IN, "again", "thanks"]
    assert rules[0].template == "welcome"
    assert merged(()) == tuple(BUILT_IN.values())
