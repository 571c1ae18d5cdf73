"""What the booking system tells us: the event on the wire, checked, in our own words.

Two shapes are read: our plain one, and structured CloudEvents 1.0 JSON, which is the same with
`specversion` and a few attributes that we pass over. Faults carry JSON pointers, all of the
semantic ones at once.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.businesses.places import is_locale, is_timezone
from core.customers.emails import is_email
from core.customers.phones import PhoneError, read_phone
from core.errors import FieldFault, InvalidInputError
from core.ids import REF_PATTERN
from core.notify.policy import CheckResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.businesses.store import BusinessRow
    from core.channels.plugin import EventType

Ref = Annotated[
    str,
    Meta(
        pattern=REF_PATTERN,
        description="An id that the caller chose: up to 64 of A-Za-z0-9._:-",
        examples=["salon-aurora"],
    ),
]
Line = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Name = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Mark = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$(?!\n)")]
Link = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[\x21-\x7e]+$(?!\n)")]
Moment = Annotated[datetime, Meta(tz=True)]

CUSTOMER_UPDATED: Final = "customer.updated"
EVENT_TYPES: Final = {
    "booking.confirmed": "A booking was made: confirms it.",
    "booking.rescheduled": "A booking moved to another time.",
    "booking.canceled": "A booking was called off: says so, and cancels what is pending.",
    "booking.completed": "The customer came: cancels what is pending.",
    "booking.no_show": "The customer did not come: cancels what is pending.",
    "booking.reminder_due": "A reminder is due now, for callers with their own scheduler.",
    "booking.imported": "An existing booking at going live: sends no confirmation.",
    CUSTOMER_UPDATED: "A customer's address or language changed.",
}
"""The types that are known, and what each means."""

_NEEDS_TIME: Final = frozenset(
    {"booking.confirmed", "booking.rescheduled", "booking.reminder_due", "booking.imported"}
)
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2100


class BookingIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A booking as the caller describes it; `version` orders the events of one booking."""

    ref: Ref
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    service: Line | None = None
    staff: Line | None = None
    location: Line | None = None
    manage_url: Link | None = None
    version: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class CustomerIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer as the caller describes them; what is left out stays as it is."""

    id: Ref
    first_name: Name | None = None
    last_name: Name | None = None
    phone: Annotated[str, Meta(max_length=40, examples=["+393331234567"])] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    locale: Annotated[str, Meta(max_length=16, examples=["it"])] | None = None
    timezone: Annotated[str, Meta(max_length=64, examples=["Europe/Rome"])] | None = None


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened, to which booking, for whom; a key bound to a business may leave it out."""

    customer: CustomerIn
    booking: BookingIn | None = None
    business_id: Ref | None = None
    details: Annotated[
        dict[str, Any] | None, Meta(description="Of a channel's own event types only.")
    ] = None


class EventIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it comes: our plain shape, or structured CloudEvents 1.0 JSON."""

    id: Mark
    source: Mark
    type: Annotated[str, Meta(max_length=64, examples=["booking.confirmed"])]
    data: EventData
    time: Moment | None = None
    subject: Line | None = None
    specversion: Annotated[str, Meta(pattern=r"^1\.0$(?!\n)")] | UnsetType = UNSET
    datacontenttype: Annotated[str, Meta(max_length=100)] | UnsetType = UNSET
    dataschema: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET
    traceparent: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    tracestate: Annotated[str, Meta(max_length=512)] | UnsetType = UNSET


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A booking; its times are UTC."""

    ref: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    service: str | None = None
    staff: str | None = None
    location: str | None = None
    manage_url: str | None = None
    version: int | None = None


class EventCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it concerns; `id` is the caller's own, `phone` is E.164."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None
    locale: str | None = None
    timezone: str | None = None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What an event of a channel's own type brings, checked by the channel's schema.

    Attributes:
        told: by name, as JSON.
        moments: the names that are times; `days` those that are dates.
    """

    told: dict[str, Any]
    moments: tuple[str, ...] = ()
    days: tuple[str, ...] = ()


class NotificationEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of the booking system (specification 8), checked; times are UTC.

    Attributes:
        id: the caller's id of the event, unique within `source`.
        time: when it happened; when it came, if the caller did not say.
        business_ref: the caller's id of the business.
        body_hash: SHA-256 over what was said, so that another body under the same id is noticed.
    """

    id: str
    source: str
    type: str
    time: datetime
    business_ref: str
    customer: EventCustomer
    booking: Booking | None = None
    details: Details | None = None
    body_hash: bytes = b""


class DecisionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided about one notice.

    Attributes:
        outcome: queued, scheduled or suppressed.
        reason: why not, as a code; only where it was suppressed.
        notification_id: `ntf_...`, or `dec_...` where it was suppressed.
        send_at: when it goes out; only where it is scheduled.
        followed_by: the notice on the next channel, which was decided instead.
        fallback_of: the notice on another channel whose place this one takes.
        language: of the text; of a dry run only, like what follows.
        rendered: what the customer would read.
        checks: every gate's answer.
    """

    rule: str
    channel: str
    outcome: str
    template: str = ""
    reason: str = ""
    notification_id: str | None = ""
    send_at: datetime | None = None
    followed_by: str = ""
    fallback_of: str = ""
    language: str = ""
    rendered: str = ""
    checks: tuple[CheckResult, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller is told about one event; of a dry run, ids are null.

    Attributes:
        superseded_in_flight: messages about the booking's earlier state that were with the
            provider already when this event came; what is decided here corrects them.
    """

    id: str | None
    status: str = "accepted"
    duplicate: bool = False
    decisions: tuple[DecisionAnswer, ...] = ()
    superseded_in_flight: tuple[str, ...] = ()


def as_event(
    told: EventIn,
    business: BusinessRow,
    received_at: datetime,
    types: Mapping[str, EventType] | None = None,
) -> NotificationEvent:
    """Check what types cannot say, and put the event in our own words.

    Args:
        told: the event as it came.
        business: whose it is.
        received_at: when it came.
        types: the kinds of events that channels add, by name.

    Raises:
        InvalidInputError: names every fault with its pointer.
    """
    faults = _Faults()
    added = types or {}
    if told.type not in EVENT_TYPES and told.type not in added:
        known = ", ".join((*EVENT_TYPES, *added))
        faults.add("/type", "unknown-type", f"Unknown event type; the known ones are: {known}.")
    if told.datacontenttype is not UNSET and not _is_json(told.datacontenttype):
        faults.add("/datacontenttype", "unsupported", "Only JSON data is read.")
    booking = _booking(told, faults)
    details = _details(told, added.get(told.type), faults)
    customer = _customer(told.data.customer, business.country, "/data/customer", faults)
    said_at = faults.utc("/time", told.time)
    faults.raise_any()
    event = NotificationEvent(
        id=told.id,
        source=told.source,
        type=told.type,
        time=said_at or received_at + business.ahead,
        business_ref=business.ref,
        booking=booking,
        customer=customer,
        details=details,
    )
    # A caller that leaves the time out says the same thing each time it says it.
    said: dict[str, Any] = msgspec.to_builtins(event) | {"time": said_at}
    if details is None:
        del said["details"]
    digest = hashlib.sha256(msgspec.json.encode(said, order="sorted")).digest()
    return msgspec.structs.replace(event, body_hash=digest)


def as_customer(told: CustomerIn, country: str, pointer: str) -> EventCustomer:
    """Check a customer alone, as it comes with a consent.

    Raises:
        InvalidInputError: names every fault with its pointer.
    """
    faults = _Faults()
    customer = _customer(told, country, pointer, faults)
    faults.raise_any()
    return customer


@dataclass(slots=True)
class _Faults:
    """Collects what is wrong, so that a caller learns everything at once."""

    found: list[FieldFault] = field(default_factory=list)

    def add(self, pointer: str, code: str, message: str) -> None:
        self.found.append(FieldFault(pointer, code, message))

    def utc(self, pointer: str, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            self.add(pointer, "out-of-range", "The year must lie between 2000 and 2100.")
            return None
        return moment.astimezone(UTC)

    def raise_any(self) -> None:
        if self.found:
            raise InvalidInputError(self.found[0].message, errors=self.found)


def _booking(told: EventIn, faults: _Faults) -> Booking | None:
    given = told.data.booking
    if given is None:
        if told.type.startswith("booking."):
            faults.add("/data/booking", "missing", f"{told.type} needs a booking.")
        return None
    pointer = "/data/booking"
    if given.starts_at is None and told.type in _NEEDS_TIME:
        faults.add(f"{pointer}/starts_at", "missing", f"{told.type} needs booking.starts_at.")
    fields: dict[str, Any] = msgspec.structs.asdict(given)
    fields["starts_at"] = faults.utc(f"{pointer}/starts_at", given.starts_at)
    fields["ends_at"] = faults.utc(f"{pointer}/ends_at", given.ends_at)
    return Booking(**fields)


def _customer(told: CustomerIn, country: str, pointer: str, faults: _Faults) -> EventCustomer:
    phone = told.phone
    if phone is not None:
        try:
            phone = read_phone(phone, country)
        except PhoneError as error:
            faults.add(f"{pointer}/phone", "phone-invalid", str(error))
    if told.email is not None and not is_email(told.email):
        faults.add(f"{pointer}/email", "email-invalid", "This is no e-mail address.")
    if told.locale is not None and not is_locale(told.locale):
        faults.add(f"{pointer}/locale", "locale-invalid", "This is no language tag such as pt-BR.")
    if told.timezone is not None and not is_timezone(told.timezone):
        faults.add(f"{pointer}/timezone", "timezone-unknown", "This is no IANA time zone.")
    fields: dict[str, Any] = msgspec.structs.asdict(told)
    return EventCustomer(**(fields | {"phone": phone}))


def _details(told: EventIn, kind: EventType | None, faults: _Faults) -> Details | None:
    pointer = "/data/details"
    given = told.data.details
    if kind is None:
        if given is not None:
            faults.add(pointer, "unknown-field", f"{told.type} brings no details.")
        return None
    try:
        read = msgspec.convert({} if given is None else given, kind.details)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        steps = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", place.rstrip("`")).replace(".", "/")
        faults.add(pointer + steps, "invalid", f"{said.removesuffix('.')}.")
        return None
    plain: dict[str, Any] = msgspec.structs.asdict(read)
    return Details(
        told=msgspec.to_builtins(read),
        moments=tuple(name for name, value in plain.items() if isinstance(value, datetime)),
        days=tuple(
            name
            for name, value in plain.items()
            if isinstance(value, date) and not isinstance(value, datetime)
        ),
    )


def _is_json(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind[-5:] == "+json")
