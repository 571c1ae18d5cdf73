"""Events of one call are split so that sets of them give what single calls would."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from core.notify.events import Booking, EventCustomer, NotificationEvent
from core.notify.waves import split

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def told(
    mark: int, booking: int | None, customer: int, word: int, *, updated: bool = False
) -> NotificationEvent:
    """Build an event; `word` is what it says."""
    return NotificationEvent(
        id=f"e-{mark}",
        source="/booking",
        type="customer.updated" if updated else "booking.confirmed",
        time=NOW,
        business_ref="salon",
        customer=EventCustomer(id=f"c-{customer}", first_name=f"n-{word}"),
        booking=None if booking is None or updated else Booking(ref=f"B-{booking}"),
        body_hash=repr((booking, customer, word, updated)).encode(),
    )


small = st.integers(min_value=0, max_value=3)
events = st.builds(
    told,
    st.integers(min_value=0, max_value=9),
    st.one_of(st.none(), small),
    small,
    st.integers(min_value=0, max_value=1),
    updated=st.booleans(),
)


def disturbs(one: NotificationEvent, other: NotificationEvent) -> bool:
    """Tell whether the order of two events can matter."""
    if (one.source, one.id) == (other.source, other.id):
        return True
    if one.booking and other.booking and one.booking.ref == other.booking.ref:
        return True
    if one.customer.id != other.customer.id:
        return False
    return one.customer != other.customer or "customer.updated" in (one.type, other.type)


@given(st.lists(events, max_size=30))
def test_what_can_disturb_each_other_stays_in_order(stream: list[NotificationEvent]) -> None:
    """Every event has one wave or a twin before it; of two that touch, the first comes first."""
    found = split(stream)
    wave_of = {place: n for n, wave in enumerate(found.waves) for place in wave}
    assert set(wave_of) | set(found.twins) == set(range(len(stream)))
    assert not set(wave_of) & set(found.twins)
    assert all(found.waves)
    for place, first in found.twins.items():
        assert first < place
        assert stream[first] == stream[place] or stream[first].id == stream[place].id
        assert stream[first].body_hash == stream[place].body_hash
    for (early, before), (late, after) in itertools.combinations(sorted(wave_of.items()), 2):
        if disturbs(stream[early], stream[late]):
            assert before < after


def test_strangers_share_one_wave() -> None:
    """Five hundred bookings of one customer who is told the same each time are one set."""
    assert len(split([told(n, n, 1, 1) for n in range(500)]).waves) == 1


def test_a_booking_takes_its_events_one_by_one() -> None:
    """Three events of one booking are three waves; a fourth of another joins the first."""
    found = split([told(1, 1, 1, 1), told(2, 1, 1, 1), told(3, 1, 1, 1), told(4, 2, 2, 1)])
    assert found.waves == [[0, 3], [1], [2]]
