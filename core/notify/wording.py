"""The values of a message: what the booking says, in the customer's words, on its own clock."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import msgspec
from babel.dates import format_skeleton, format_time
from babel.numbers import format_decimal

from core.channels.messages import Parameter
from core.notify.events import Booking, Details, EventCustomer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NUMBERED: Final = "positional"
_ORDER: Final = ("first_name", "business_name", "date", "time", "service")
"""What the placeholders 1, 2, 3 ... of a numbered template stand for."""

_PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

_FALLBACKS: Final = {"first_name": "-", "service": "-"}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What the values are made of; sealed with the message until it is sent (rulings B12).

    Attributes:
        timezone: the business's: a customer comes by the clock that hangs in the salon.
        fallbacks: what the rule writes where the event brought no value.
        details: what an event of a channel's own type brought.
        given: values that a caller wrote word for word, by name.
        metadata: what a caller wants to read again with the message.
    """

    business_name: str
    timezone: str
    customer: EventCustomer
    booking: Booking | None = None
    fallbacks: dict[str, str] = {}
    details: Details | None = None
    given: dict[str, str] = {}
    metadata: dict[str, str] = {}


def values(source: Source, language: str) -> dict[str, str]:
    """Return every value that can be made, by name."""
    customer, booking = source.customer, source.booking
    zone, locale = ZoneInfo(source.timezone), language.replace("-", "_")
    found: dict[str, str | None] = {
        **_detail_values(source.details, zone, locale),
        "business_name": source.business_name,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
    }
    if booking is not None:
        found |= {
            "service": booking.service,
            "staff": booking.staff,
            "location": booking.location,
            "booking_ref": booking.ref,
            "manage_url": booking.manage_url,
        }
        if booking.starts_at is not None:
            local = booking.starts_at.astimezone(zone)
            found |= {"date": _day(local, locale), "time": _clock(local, locale)}
    made = {name: value for name, value in found.items() if value}
    return source.fallbacks | made | source.given


def _detail_values(details: Details | None, zone: ZoneInfo, locale: str) -> dict[str, str | None]:
    """Write texts, numbers, dates and times in the customer's language; the rest has no words."""
    found: dict[str, str | None] = {}
    for name, value in details.told.items() if details else ():
        if details and name in details.moments:
            local = datetime.fromisoformat(value).astimezone(zone)
            day, clock = _day(local, locale), _clock(local, locale)
            found |= {name: f"{day} {clock}", f"{name}_date": day, f"{name}_time": clock}
        elif details and name in details.days:
            found[name] = _day(date.fromisoformat(value), locale)
        elif isinstance(value, str):
            found[name] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = format_decimal(value, locale=locale)
    return found


def _day(local: date, locale: str) -> str:
    return _written_day(date(local.year, local.month, local.day), locale)


def _clock(local: datetime, locale: str) -> str:
    return _written_time(time(local.hour, local.minute), locale)


# A salon's reminders of one evening are all about the same day, and about few times of it.
@lru_cache(maxsize=4096)
def _written_day(day: date, locale: str) -> str:
    return format_skeleton("MMMEd", datetime.combine(day, time()), locale=locale)


@lru_cache(maxsize=4096)
def _written_time(moment: time, locale: str) -> str:
    # Providers turn narrow spaces into plain ones; what we log must be what was read.
    return format_time(moment, "short", locale=locale).replace("\u202f", " ")


def parameters(
    wanted: Sequence[str], known: Mapping[str, str]
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Fill a template's placeholders.

    Args:
        wanted: the placeholders in the template's order: names, or 1, 2, 3 ...
        known: the values by name.

    Returns:
        The filled placeholders, and the names for which there is no value.
    """
    filled: list[Parameter] = []
    missing: list[str] = []
    for placeholder in wanted:
        name = meaning(placeholder)
        value = known.get(name) or _FALLBACKS.get(name)
        if value is None:
            missing.append(name)
        else:
            filled.append(Parameter(name=placeholder, value=value))
    return tuple(filled), tuple(missing)


def meaning(placeholder: str) -> str:
    """Return the value's name that a placeholder stands for; a header's are `header.<name>`."""
    placeholder = placeholder.removeprefix("header.")
    if placeholder.isdigit() and 1 <= int(placeholder) <= len(_ORDER):
        return _ORDER[int(placeholder) - 1]
    return placeholder


def language_chain(*preferences: str | None) -> tuple[str, ...]:
    """Return the languages to try, in order: each preference, then its base, then English."""
    chain: list[str] = []
    for preference in (*preferences, "en"):
        if preference:
            tag = preference.replace("-", "_")
            chain += [tag, tag.partition("_")[0]]
    return tuple(dict.fromkeys(chain))


def preview(body: str, filled: Sequence[Parameter]) -> str:
    """Return a template's text with its placeholders filled; values are never read again."""
    known = {parameter.name: parameter.value for parameter in filled}
    return _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), body)
