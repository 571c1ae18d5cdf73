"""When a notice goes out: on the wall clock, on days of 23 and 25 hours too."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.notify.rules import BUILT_IN, QuietHours, Rule
from core.notify.timing import after_quiet, due_before, instant, is_quiet, time_notice

ROME = ZoneInfo("Europe/Rome")
NIGHT = QuietHours(start=time(21), end=time(8))
ZONES = [
    ZoneInfo(name)
    for name in (
        "Africa/Cairo",
        "Africa/Casablanca",
        "Africa/Johannesburg",
        "Africa/Lagos",
        "America/Anchorage",
        "America/Argentina/Buenos_Aires",
        "America/Asuncion",
        "America/Bogota",
        "America/Chicago",
        "America/Denver",
        "America/Godthab",
        "America/Halifax",
        "America/Havana",
        "America/Los_Angeles",
        "America/Mexico_City",
        "America/New_York",
        "America/Phoenix",
        "America/Santiago",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Antarctica/Troll",
        "Asia/Beirut",
        "Asia/Dubai",
        "Asia/Jerusalem",
        "Asia/Kathmandu",
        "Asia/Kolkata",
        "Asia/Shanghai",
        "Asia/Tokyo",
        "Atlantic/Azores",
        "Australia/Adelaide",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Europe/Berlin",
        "Europe/Dublin",
        "Europe/Lisbon",
        "Europe/London",
        "Europe/Rome",
        "Pacific/Apia",
        "Pacific/Auckland",
        "Pacific/Chatham",
    )
]
QUARTERS = 4 * 24 * 365 * 2
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LEADS = (timedelta(hours=24), timedelta(hours=2))


def changes(zone: ZoneInfo) -> list[datetime]:
    """Return the moments of two years at which a zone's clock is moved, to the quarter."""
    found: list[datetime] = []
    for day in (FIRST + timedelta(days=day) for day in range(365 * 2)):
        if day.astimezone(zone).utcoffset() == (day + DAY).astimezone(zone).utcoffset():
            continue
        quarters = [day + timedelta(minutes=15 * quarter) for quarter in range(4 * 24 + 1)]
        found += [
            after
            for before, after in pairwise(quarters)
            if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
        ]
    return found


STARTS = {
    zone: [
        change + timedelta(minutes=15 * quarter)
        for change in changes(zone)
        for quarter in range(-8, 4 * 36)
    ]
    for zone in ZONES
}
"""Starts around each change: from two hours before it to a day and a half behind."""


@st.composite
def bookings(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """Choose a zone and a start, every other one around a change of the clock."""
    zone = draw(st.sampled_from(ZONES))
    anywhen = FIRST + timedelta(minutes=15 * draw(st.integers(0, QUARTERS)))
    around = draw(st.sampled_from(STARTS[zone] or [anywhen]))
    return zone, around if draw(st.booleans()) else anywhen


def test_there_are_forty_zones_and_both_changes() -> None:
    """The sample is what it says: forty zones, most with two changes a year."""
    assert len(set(ZONES)) == 40
    assert sum(len(changes(zone)) == 4 for zone in ZONES) >= 20


@settings(max_examples=5000, deadline=None)
@given(bookings())
def test_leads_are_counted_on_the_wall_clock(booking: tuple[ZoneInfo, datetime]) -> None:
    """The clock shows start minus lead; a skipped time is the next valid, a double one the first.

    Only a lead that would end at the start itself, behind a skipped time, is counted in real time.
    """
    zone, starts_at = booking
    for lead in LEADS:
        due_at = due_before(starts_at, lead, zone)
        wall = starts_at.astimezone(zone).replace(tzinfo=None) - lead
        assert due_at < starts_at
        if instant(wall, zone) >= starts_at:
            assert due_at == starts_at - lead
            continue
        shown = due_at.astimezone(zone).replace(tzinfo=None)
        earlier = [
            (due_at - timedelta(minutes=minute)).astimezone(zone).replace(tzinfo=None)
            for minute in (1, 30, 60, 90, 120, 150)
        ]
        assert wall not in earlier, "there is a first one before"
        if shown != wall:
            assert shown > wall
            assert earlier[0] < wall, "the minute before was not behind the skipped time"
            offsets = [
                moment.astimezone(zone).utcoffset()
                for moment in (due_at - timedelta(seconds=1), due_at)
            ]
            assert offsets[0] != offsets[1], "it is the moment at which the clock is moved"


@pytest.mark.parametrize(
    ("starts_at", "hours", "due_at"),
    [
        # The day before has 23 hours, or 25: the wall clock shows the same time.
        ("2026-03-29T10:30+02:00", 24, "2026-03-28T10:30+01:00"),
        ("2026-10-25T10:30+01:00", 24, "2026-10-24T10:30+02:00"),
        # 02:30 does not exist on 29 March, and comes twice on 25 October.
        ("2026-03-30T02:30+02:00", 24, "2026-03-29T03:00+02:00"),
        ("2026-10-26T02:30+01:00", 24, "2026-10-25T02:30+02:00"),
        ("2026-10-25T04:30+01:00", 2, "2026-10-25T02:30+02:00"),
        ("2126-11-24T10:30+01:00", 24, "2126-11-23T10:30+01:00"),
    ],
)
def test_known_days(starts_at: str, hours: int, due_at: str) -> None:
    """Rome's days of the change, by hand."""
    start = datetime.fromisoformat(starts_at)
    assert due_before(start, timedelta(hours=hours), ROME) == datetime.fromisoformat(due_at)


def test_a_short_lead_in_the_skipped_hour_stays_before_the_start() -> None:
    """Ten minutes ahead of 03:00 on the day without 02:50 are ten real minutes."""
    start = datetime.fromisoformat("2026-03-29T03:00+02:00")
    lead = timedelta(minutes=10)
    assert due_before(start, lead, ROME) == start - lead


def test_a_skipped_day_ends_where_the_next_one_begins() -> None:
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    wall = datetime.fromisoformat("2011-12-30T09:00")
    assert instant(wall, apia) == datetime(2011, 12, 30, 10, tzinfo=UTC)


@settings(max_examples=500, deadline=None)
@given(
    bookings(),
    st.times(),
    st.times(),
)
def test_nothing_is_left_in_quiet_hours(
    booking: tuple[ZoneInfo, datetime], start: time, end: time
) -> None:
    """What is deferred goes out later, at a time that is not quiet, within a day and a bit."""
    zone, moment = booking
    start, end = start.replace(microsecond=0, second=0), end.replace(microsecond=0, second=0)
    quiet = QuietHours(start=start, end=end)
    if start == end:
        return
    open_at = after_quiet(moment, quiet, zone)
    if open_at == moment:
        assert not is_quiet(moment.astimezone(zone).time(), quiet)
    else:
        assert moment < open_at <= moment + timedelta(hours=26)
        assert not is_quiet(open_at.astimezone(zone).time(), quiet)


NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def timed(rule: Rule, hours: float, zone: ZoneInfo = ROME, now: datetime = NOW) -> object:
    """Time a notice of a booking so many hours from now; says (due in hours, why not)."""
    timing = time_notice(
        rule,
        now + timedelta(hours=hours),
        now,
        business_zone=ROME,
        customer_zone=zone,
        planned=rule.lead is not None,
    )
    why = "too-late" if timing.too_late else "quiet" if timing.quiet else ""
    return (timing.due_at - now) / timedelta(hours=1), why


def test_a_late_booking_skips_the_day_before() -> None:
    """With 20 hours left only the two-hour reminder is planned; with one hour, none."""
    day, short = BUILT_IN["reminder-24h"], BUILT_IN["reminder-2h"]
    assert timed(day, 48) == (24, "")
    assert timed(day, 20) == (-4, "too-late")
    assert timed(day, 24) == (0, "too-late")
    assert timed(short, 20) == (18, "")
    assert timed(short, 1) == (-1, "too-late")


def test_minimum_notice_counts_to_the_start() -> None:
    """A booking at shorter notice makes no such message, planned or not."""
    at_once = Rule(
        key="k", event_type="booking.confirmed", template="t", minimum_notice=timedelta(hours=3)
    )
    assert timed(at_once, 4) == (0, "")
    assert timed(at_once, 2) == (0, "too-late")
    planned = Rule(
        key="k",
        event_type="booking.reminder_due",
        template="t",
        lead=timedelta(hours=24),
        minimum_notice=timedelta(hours=30),
    )
    assert timed(planned, 29) == (5, "too-late")
    assert timed(planned, 31) == (7, "")


def test_quiet_hours_follow_the_customers_clock() -> None:
    """At 10 in Rome it is 4 at night in New York: deferred to 8 there, or skipped."""
    rule = Rule(key="k", event_type="booking.confirmed", template="t", quiet=NIGHT)
    new_york = ZoneInfo("America/New_York")
    assert timed(rule, 48) == (0, "")
    assert timed(rule, 48, new_york) == (4, "")
    assert timed(rule, 3, new_york) == (0, "quiet"), "it would come after the start"
    skipping = Rule(
        key="k",
        event_type="booking.confirmed",
        template="t",
        quiet=QuietHours(start=time(21), end=time(8), mode="skip"),
    )
    assert timed(skipping, 48, new_york) == (0, "quiet")


def test_a_late_reminder_makes_room_for_the_next_one() -> None:
    """The day-before reminder is of no use in the last twelve hours, the other to the start."""
    start = NOW + timedelta(hours=48)
    until = [
        time_notice(
            BUILT_IN[key], start, NOW, business_zone=ROME, customer_zone=ROME, planned=True
        ).useful_until
        for key in ("reminder-24h", "reminder-2h")
    ]
    assert until == [start - timedelta(hours=12), start]
