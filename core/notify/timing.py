"""When a notice goes out, and until when it is useful: pure, right on the days clocks change.

Leads are counted on the wall clock of the business: a reminder 24 hours ahead of 10:30 is sent at
10:30 of the day before, on days of 23 and 25 hours too. A moment that the clock skips becomes the
next one that exists, one that comes twice is the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import time
    from zoneinfo import ZoneInfo

    from core.notify.rules import QuietHours, Rule

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The moment of one notice.

    Attributes:
        due_at: when to send it.
        useful_until: after this it would only annoy.
        too_late: its moment has passed, or the booking came at too short notice.
        quiet: it falls into quiet hours and is not to be deferred, or not in time.
    """

    due_at: datetime
    useful_until: datetime | None
    too_late: bool = False
    quiet: bool = False


def time_notice(
    rule: Rule,
    starts_at: datetime | None,
    now: datetime,
    *,
    business_zone: ZoneInfo,
    customer_zone: ZoneInfo,
    planned: bool,
) -> Timing:
    """Return when a rule's notice goes out.

    Args:
        rule: the rule that asks for it.
        starts_at: when the booking starts, if it is known.
        now: the moment of the decision.
        business_zone: its wall clock counts for the lead.
        customer_zone: its wall clock counts for quiet hours (rulings A13).
        planned: it is sent ahead of the start by the rule's lead, not at once.
    """
    useful_until, due_at, late = starts_at, now, False
    if starts_at is not None:
        late = rule.minimum_notice > timedelta() and starts_at - now < rule.minimum_notice
        if planned and rule.lead is not None:
            due_at = due_before(starts_at, rule.lead, business_zone)
            late = late or due_at <= now
            useful_until = _useful_until(starts_at, rule.lead)
    if late or rule.quiet is None:
        return Timing(due_at=due_at, useful_until=useful_until, too_late=late)
    open_at = after_quiet(due_at, rule.quiet, customer_zone)
    skipped = open_at != due_at and rule.quiet.mode == "skip"
    if skipped or (useful_until is not None and open_at >= useful_until and open_at != due_at):
        return Timing(due_at=due_at, useful_until=useful_until, quiet=True)
    return Timing(due_at=open_at, useful_until=useful_until)


def due_before(starts_at: datetime, lead: timedelta, zone: ZoneInfo) -> datetime:
    """Return the moment a lead ahead of a start, on the wall clock of a zone."""
    due_at = instant(starts_at.astimezone(zone).replace(tzinfo=None) - lead, zone)
    # A short lead inside the skipped hour would end at the start or behind it.
    return due_at if due_at < starts_at else starts_at - lead


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when a wall clock shows a time: the first of two, the next valid one after a gap."""
    found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + ((after - before) // (2 * _SECOND)) * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def after_quiet(moment: datetime, quiet: QuietHours, zone: ZoneInfo) -> datetime:
    """Return the moment itself, or the end of the quiet hours it falls into."""
    local = moment.astimezone(zone)
    clock = local.time()
    if not is_quiet(clock, quiet):
        return moment
    day = local.date() if clock < quiet.end else local.date() + _DAY
    wall = datetime.combine(day, quiet.end)
    first = instant(wall, zone)
    return first if first > moment else wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def is_quiet(clock: time, quiet: QuietHours) -> bool:
    """Tell whether a wall clock's time lies in quiet hours."""
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def _useful_until(starts_at: datetime, lead: timedelta) -> datetime:
    """A reminder days ahead makes room for the next one when it is late; never after the start."""
    return starts_at - lead / 2 if lead >= _DAY else starts_at
