"""Splits the events of one call into waves that can be taken in as sets, one after another.

The outcome must be that of single calls in the caller's order. Events that touch different
bookings and say the same of their customers cannot disturb each other: they share a wave.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.notify.events import CUSTOMER_UPDATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.notify.events import EventCustomer, NotificationEvent


@dataclass(slots=True)
class Split:
    """The places of events, by wave; a twin is a place whose event was told before, word by word.

    Attributes:
        twins: place -> the place of the first event that says the same under the same name.
    """

    waves: list[list[int]] = field(default_factory=list)
    twins: dict[int, int] = field(default_factory=dict)


def split(events: Sequence[NotificationEvent]) -> Split:
    """Put every event into the first wave in which nothing before it can be disturbed."""
    found = Split()
    first: dict[tuple[str, str, bytes], int] = {}
    names: dict[tuple[str, str], int] = {}
    bookings: dict[str, int] = {}
    customers: dict[str, tuple[int, EventCustomer | None]] = {}
    for place, event in enumerate(events):
        twin = first.setdefault((event.source, event.id, event.body_hash), place)
        if twin != place:
            found.twins[place] = twin
            continue
        name = (event.source, event.id)
        ref = event.booking.ref if event.booking else None
        alone = event.type == CUSTOMER_UPDATED
        wave = max(
            names.get(name, -1) + 1,
            0 if ref is None else bookings.get(ref, -1) + 1,
            _after_customer(customers.get(event.customer.id), event, alone=alone),
        )
        if wave == len(found.waves):
            found.waves.append([])
        found.waves[wave].append(place)
        names[name] = wave
        if ref is not None:
            bookings[ref] = wave
        customers[event.customer.id] = (wave, None if alone else event.customer)
    return found


def _after_customer(
    last: tuple[int, EventCustomer | None] | None, event: NotificationEvent, *, alone: bool
) -> int:
    """Return the first wave that suits an event's customer: the last one's if it says the same."""
    if last is None:
        return 0
    wave, told = last
    return wave if told == event.customer and not alone else wave + 1
