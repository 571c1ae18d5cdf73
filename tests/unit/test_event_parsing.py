"""From the wire to our own words, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import examples
from core.businesses.store import BusinessRow, BusinessSettings
from core.errors import FieldFault, InvalidInputError
from core.ids import BusinessId, new_uuid
from core.notify.events import EventIn, NotificationEvent, as_event

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
BUSINESS = BusinessRow(
    id=BusinessId(new_uuid()),
    ref="salon-aurora",
    name="Salone Aurora",
    timezone="Europe/Rome",
    country="IT",
    default_locale="it",
    mode="live",
    killed_at=None,
    settings=BusinessSettings(),
    created_at=NOW,
    updated_at=NOW,
)


def event(received_at: datetime = NOW, **changes: Any) -> NotificationEvent:
    """Read the examples' event with other top-level fields."""
    body = {name: value for name, value in {**examples.EVENT_BODY, **changes}.items() if value}
    return as_event(msgspec.convert(body, EventIn), BUSINESS, received_at)


def test_times_become_utc_and_phones_e164() -> None:
    """The local start of the appointment is the same moment."""
    data = examples.EVENT_BODY["data"]
    read = event(data={**data, "customer": {"id": "c", "phone": "333 123 4567"}})
    assert read.booking is not None
    assert read.booking.starts_at == datetime(2027, 3, 23, 9, 30, tzinfo=UTC)
    assert read.customer.phone == "+393331234567"
    assert read.business_ref == "salon-aurora"


def test_the_hash_is_of_what_was_said_not_of_how() -> None:
    """Another offset, another shape, or the business left out: the same words."""
    data = examples.EVENT_BODY["data"]
    same = event(
        time="2026-11-22T10:02:11+01:00",
        specversion="1.0",
        subject="anything",
        data={k: v for k, v in data.items() if k != "business_id"},
    )
    assert same.body_hash == event().body_hash
    other = event(data={**data, "booking": {**data["booking"], "service": "Piega"}})
    assert other.body_hash != event().body_hash


def test_an_event_without_a_time_is_the_same_when_it_comes_later() -> None:
    """The time of arrival orders it, and is no part of what was said."""
    later = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    first, again = event(time=None), event(time=None, received_at=later)
    assert first.body_hash == again.body_hash
    assert (first.time, again.time) == (NOW, later)
    assert first.body_hash != event().body_hash


@pytest.mark.parametrize("kind", ["booking.canceled", "booking.completed", "booking.no_show"])
def test_an_end_needs_no_start(kind: str) -> None:
    """What calls a booking off may leave its time out; what makes one may not."""
    data = {**examples.EVENT_BODY["data"], "booking": {"ref": "B-1"}}
    assert event(type=kind, data=data).booking is not None
    with pytest.raises(InvalidInputError) as caught:
        event(type="booking.confirmed", data=data)
    assert caught.value.errors[0].pointer == "/data/booking/starts_at"


def test_news_of_a_customer_needs_no_booking() -> None:
    """customer.updated is about a person only."""
    data = {"customer": examples.CUSTOMER_BODY}
    assert event(type="customer.updated", data=data).booking is None


def test_only_json_data_is_read() -> None:
    """A CloudEvent may say what its data is; anything but JSON is refused."""
    assert event(specversion="1.0", datacontenttype="application/json; charset=utf-8").id
    with pytest.raises(InvalidInputError):
        event(specversion="1.0", datacontenttype="text/xml")


def test_an_event_survives_being_stored() -> None:
    """What is sealed can be read again."""
    read = event()
    assert msgspec.json.decode(msgspec.json.encode(read), type=NotificationEvent) == read


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*EventIn.__struct_fields__, "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(trees)
def test_any_json_is_read_or_refused(body: Any) -> None:
    """Nothing but a named fault comes out of strange bodies."""
    try:
        told = msgspec.convert(body, EventIn)
    except msgspec.ValidationError:
        return
    faults: tuple[FieldFault, ...] = ()
    try:
        read = as_event(told, BUSINESS, NOW)
    except InvalidInputError as error:
        faults = error.errors
    else:
        assert read.body_hash
        return
    assert faults
