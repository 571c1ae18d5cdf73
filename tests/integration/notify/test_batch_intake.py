"""A batch gives what single calls would have given, whatever stands in it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidInputError
from core.notify.events import Answer, Booking, EventCustomer, NotificationEvent
from core.notify.intake import take_in_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_scripted import Salon

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW + timedelta(days=10)
KINDS = (
    "booking.confirmed",
    "booking.rescheduled",
    "booking.canceled",
    "booking.imported",
    "booking.reminder_due",
    "customer.updated",
)
LEFT = """
    SELECT booking_ref, rule_key, generation, status, reason, language_code, next_retry_at,
           c.ref AS customer
    FROM notification_outbox o JOIN customer c ON c.id = o.customer_id
    WHERE o.business_id = $1 ORDER BY o.id
"""
PLANS = """
    SELECT booking_ref, generation, booking_version, starts_at, told_at, state
    FROM booking_plan WHERE business_id = $1 ORDER BY booking_ref
"""
numbers = itertools.count()


def build(mark: int, kind: str, booking: int, customer: int, version: int) -> NotificationEvent:
    """Build an event as the edge would hand it over."""
    starts_at = START + timedelta(hours=booking + version)
    told = NotificationEvent(
        id=f"e-{mark}",
        source="/booking",
        type=kind,
        time=NOW + timedelta(seconds=version),
        business_ref="salon",
        booking=None
        if kind == "customer.updated"
        else Booking(ref=f"B-{booking}", starts_at=starts_at, version=version or None),
        customer=EventCustomer(
            id=f"cus-{customer}",
            first_name="Giulia",
            phone="+393331234567",
            locale="it" if version % 2 else "en",
        ),
    )
    return msgspec.structs.replace(told, body_hash=sha256(msgspec.json.encode(told)).digest())


events = st.builds(
    build,
    st.integers(min_value=0, max_value=7),
    st.sampled_from(KINDS),
    st.integers(min_value=0, max_value=2),
    st.integers(min_value=0, max_value=1),
    st.integers(min_value=0, max_value=3),
)


def said(outcome: Answer | InvalidInputError) -> Any:
    """Return an outcome without ids and moments of decision."""
    if isinstance(outcome, InvalidInputError):
        return outcome.code
    decisions = [
        (one.rule, one.outcome, one.reason, one.template, one.send_at) for one in outcome.decisions
    ]
    return outcome.duplicate, decisions


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(stream=st.lists(events, min_size=2, max_size=10))
async def test_a_batch_is_as_good_as_single_calls(
    open_salon: Callable[..., Any], superuser: Any, stream: list[NotificationEvent]
) -> None:
    """Two salons are told the same, one event by event, one at once: the same is left of it."""
    salons: list[Salon] = []
    for _ in range(2):
        salon = await open_salon(f"salon-{next(numbers)}", reminders=True)
        for customer in ("cus-0", "cus-1"):
            await salon.customer(customer)
        salons.append(salon)
    one_by_one, at_once = salons
    singles: list[Any] = []
    for event in stream:
        singles += await take_in_each(one_by_one.services, one_by_one.business, [event])
    together = await take_in_each(at_once.services, at_once.business, stream)
    assert [said(one) for one in singles] == [said(one) for one in together]
    for query in (LEFT, PLANS):
        left = [await superuser.fetch(query, one.business.id) for one in salons]
        kept = [sorted(repr(_without_moment(row)) for row in rows) for rows in left]
        assert kept[0] == kept[1]


def _without_moment(row: Any) -> dict[str, Any]:
    fields = dict(row)
    due_at = fields.get("next_retry_at")
    if due_at is not None and due_at < START - timedelta(days=2):
        fields["next_retry_at"] = "at once"
    return fields
