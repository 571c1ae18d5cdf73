"""What will be sent to whom in the next days, and what would stop it, as things stand now.

What is queued is asked what `begin` will ask; what the rules want for a booking and nothing is
queued for, what intake would ask. Both by the code that decides, its clock moved to the due time.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from core.notify import deciding
from core.notify.candidates import Notice, Person, channel_order, look_up, on_each
from core.notify.events import Booking, EventCustomer, NotificationEvent
from core.notify.plans import STATES
from core.notify.rule_store import rules_of
from core.notify.rules import Rule
from core.notify.source_sealing import open_source
from core.notify.timing import Timing, time_notice
from core.notify.wording import Source
from core.vault import VaultError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.notify.candidates import Candidate
    from core.notify.deciding import Verdict
    from core.notify.services import Services

_QUEUED: Final = """
SELECT q.*, c.ref AS customer_ref FROM (
    SELECT o.id, o.customer_id, o.channel, o.event_type, o.template_name, o.language_code,
           o.rule_key, o.booking_ref, o.generation, o.useful_until + $6 AS useful_until,
           o.variables_sealed, o.next_retry_at + $6 AS send_at, substr(sha256(convert_to(
               CASE WHEN o.booking_ref IS NULL OR o.rule_key = '' THEN o.id::text
                    ELSE o.booking_ref || '|' || o.rule_key END, 'UTF8')), 1, 8) AS mark
    FROM notification_outbox o
    WHERE o.business_id = $1 AND o.phase IN ('waiting', 'leased') AND o.kind = 'template'
      AND o.next_retry_at + $6 <= $2) q
JOIN customer c ON c.business_id = $1 AND c.id = q.customer_id
WHERE (q.send_at, q.mark) > ($3, $4)
ORDER BY q.send_at, q.mark LIMIT $5
"""
_BOOKINGS: Final = """
SELECT p.booking_ref, p.generation, p.starts_at, p.customer_id, c.ref AS customer_ref, c.locale,
       c.timezone, ARRAY(
           SELECT o.rule_key::text FROM notification_outbox o
           WHERE o.business_id = $1 AND o.booking_ref = p.booking_ref
             AND o.generation = p.generation AND o.status <> 'canceled') AS made
FROM booking_plan p JOIN customer c ON c.business_id = $1 AND c.id = p.customer_id
WHERE p.business_id = $1 AND p.state = 'active' AND p.starts_at > $2 AND p.starts_at <= $3
ORDER BY p.starts_at
"""
_TOLD: Final = """
SELECT DISTINCT ON (e.booking_ref) e.id, e.booking_ref, e.payload_sealed FROM event e
WHERE e.business_id = $1 AND e.booking_ref = ANY ($2) AND e.type = ANY ($3)
ORDER BY e.booking_ref, e.booking_version DESC NULLS LAST, e.occurred_at DESC, e.id DESC
"""
_IN_QUEUE: Final = ""
"""Stands for the id of an event where the message is queued and its language settled."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MARK_BYTES: Final = 8
_BREATH: Final = 500
"""After so many bookings other calls get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One message that is coming up, or that would be.

    Attributes:
        key: sorts by time; names the message for the next page.
        notification_id: of what is queued; None where the rules want it and nothing is queued.
        reason: what would stop it, as things stand now.
        starts_at: of the booking, where it is known.
    """

    key: UUID
    send_at: datetime
    rule: str
    channel: str
    template: str
    language: str
    customer_ref: str
    booking_ref: str | None
    starts_at: datetime | None
    notification_id: UUID | None
    address_id: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """A notice that a rule wants for a booking."""

    rule: Rule
    timing: Timing
    row: Mapping[str, Any]


async def look_ahead(
    services: Services,
    transaction: Transaction,
    business: BusinessRow,
    *,
    days: int,
    after: UUID | None,
    limit: int,
) -> list[Expected]:
    """Return what is coming up, the next first, `limit` messages at most.

    Args:
        services: the process's parts.
        transaction: sees the business.
        business: whose messages.
        days: how far to look.
        after: the key of the last message of the page before.
        limit: how many.
    """
    now = services.clock.now() + business.ahead
    until = now + timedelta(days=days)
    since, mark = _unpack(after) if after else (_EPOCH, b"")
    queued = await transaction.fetch(
        _QUEUED, business.id, until, since, mark, limit, business.ahead
    )
    rules = await rules_of(transaction, business.id)
    found: dict[UUID, Mapping[str, Any] | _Wish] = {
        _pack(row["send_at"], bytes(row["mark"])): row for row in queued
    }
    planned = [rule for rule in rules if rule.lead is not None]
    longest = max((rule.lead for rule in planned if rule.lead), default=timedelta())
    rows = await transaction.fetch(
        _BOOKINGS, business.id, max(now, since), until + longest + timedelta(days=1)
    )
    for place, row in enumerate(rows):
        if place % _BREATH == 0:
            await asyncio.sleep(0)
        for wish in _wishes(business, planned, row, now):
            key = _pack(wish.timing.due_at, _mark(row["booking_ref"], wish.rule.key))
            if wish.timing.due_at <= until and (after is None or key > after):
                found[key] = wish
    chosen = {key: found[key] for key in nsmallest(limit, found)}
    return await _judged(services, transaction, business, chosen, now)


def _wishes(
    business: BusinessRow, rules: Sequence[Rule], row: Mapping[str, Any], now: datetime
) -> Iterator[_Wish]:
    """Return what the rules still want for a booking, by the code that plans."""
    zone = ZoneInfo(business.timezone)
    for rule in rules:
        if rule.key in row["made"]:
            continue
        timing = time_notice(
            rule,
            row["starts_at"],
            now,
            business_zone=zone,
            customer_zone=ZoneInfo(row["timezone"] or business.timezone),
            planned=True,
        )
        if timing.due_at > now:
            yield _Wish(rule=rule, timing=timing, row=row)


async def _judged(
    services: Services,
    transaction: Transaction,
    business: BusinessRow,
    chosen: Mapping[UUID, Mapping[str, Any] | _Wish],
    now: datetime,
) -> list[Expected]:
    """Ask the gates about each, at its own time."""
    order = await channel_order(transaction, services, business)
    refs = [one.row["booking_ref"] for one in chosen.values() if isinstance(one, _Wish)]
    told = await _told(services, transaction, business, refs)
    notices: list[Notice] = []
    keys: dict[int, UUID] = {}
    for key, one in chosen.items():
        if not isinstance(one, _Wish):
            wanted = [_of_row(services, business, one)]
        elif one.row["booking_ref"] in told:
            notice = _of_wish(business, one, *told[one.row["booking_ref"]])
            wanted = on_each(notice, one.rule.channels or order)
        else:
            continue
        notices += wanted
        keys |= {id(notice): key for notice in wanted}
    candidates = await look_up(transaction, services, business, notices, now)
    verdicts = deciding.decide([_at_its_time(one, now) for one in candidates])
    # A channel that says no passes a notice on: the last word counts.
    last = {keys[id(one.candidate.notice)]: one for one in verdicts}
    return [_expected(key, chosen[key], one) for key, one in last.items()]


def _at_its_time(candidate: Candidate, now: datetime) -> Candidate:
    """Move the clock of a candidate to its due time; begin takes no other language than asked."""
    facts, event = candidate.facts, candidate.notice.event
    found = facts.template_found
    if event.id == _IN_QUEUE:
        found = found and candidate.language in candidate.notice.rule.languages
    due_at = max(now, facts.due_at)
    return replace(candidate, facts=replace(facts, now=due_at, template_found=found))


def _expected(key: UUID, one: Mapping[str, Any] | _Wish, verdict: Verdict) -> Expected:
    candidate = verdict.candidate
    notice = candidate.notice
    row = one.row if isinstance(one, _Wish) else one
    booking = notice.source.booking
    return Expected(
        key=key,
        send_at=notice.timing.due_at,
        rule=notice.rule.key,
        channel=notice.channel,
        template=notice.rule.template,
        language=candidate.language,
        customer_ref=row["customer_ref"],
        booking_ref=row["booking_ref"],
        starts_at=booking.starts_at if booking else None,
        notification_id=None if isinstance(one, _Wish) else row["id"],
        address_id=candidate.address_id,
        reason=verdict.reason,
    )


async def _told(
    services: Services, transaction: Transaction, business: BusinessRow, refs: Sequence[str]
) -> dict[str, tuple[UUID, NotificationEvent]]:
    """Return the event that stands for each booking."""
    if not refs:
        return {}
    rows = await transaction.fetch(_TOLD, business.id, sorted(set(refs)), sorted(STATES))
    found: dict[str, tuple[UUID, NotificationEvent]] = {}
    for row in rows:
        context = ("event", "payload_sealed", str(business.id), str(row["id"]))
        with suppress(VaultError):  # erased: nothing will be planned from it
            opened = services.vault.open(row["payload_sealed"], context=context)
            event = msgspec.json.decode(opened, type=NotificationEvent)
            found[row["booking_ref"]] = (row["id"], event)
    return found


def _of_wish(
    business: BusinessRow, wish: _Wish, event_id: UUID, event: NotificationEvent
) -> Notice:
    row, rule = wish.row, wish.rule
    booking = event.booking or Booking(ref=row["booking_ref"])
    return Notice(
        event=event,
        event_id=event_id,
        rule=rule,
        channel="",
        person=Person(id=row["customer_id"], locale=row["locale"], timezone=row["timezone"]),
        source=Source(
            business_name=business.name,
            timezone=business.timezone,
            customer=event.customer,
            booking=msgspec.structs.replace(booking, starts_at=row["starts_at"]),
            fallbacks=rule.variables,
        ),
        timing=wish.timing,
        generation=row["generation"],
    )


def _of_row(services: Services, business: BusinessRow, row: Mapping[str, Any]) -> Notice:
    """Put a queued message as a notice: what its rule said then is settled."""
    customer = EventCustomer(id=row["customer_ref"])
    source = Source(business_name=business.name, timezone=business.timezone, customer=customer)
    if row["variables_sealed"] is not None:
        with suppress(VaultError):  # begin could not fill the template either
            sealed = row["variables_sealed"]
            source = open_source(services.vault, business.id, row["id"], sealed)
    ref = row["booking_ref"]
    return Notice(
        event=NotificationEvent(
            id=_IN_QUEUE,
            source="",
            type=row["event_type"],
            time=row["send_at"],
            business_ref=business.ref,
            customer=customer,
            booking=Booking(ref=ref) if ref else None,
        ),
        event_id=row["id"],
        rule=Rule(
            key=row["rule_key"],
            event_type=row["event_type"],
            template=row["template_name"],
            languages=(row["language_code"],),
        ),
        channel=row["channel"],
        person=Person(id=row["customer_id"], locale=row["language_code"], timezone=None),
        source=source,
        timing=Timing(due_at=row["send_at"], useful_until=row["useful_until"]),
        generation=row["generation"],
    )


def _mark(booking_ref: str, rule: str) -> bytes:
    return hashlib.sha256(f"{booking_ref}|{rule}".encode()).digest()[:_MARK_BYTES]


def _pack(moment: datetime, mark: bytes) -> UUID:
    """Make a key that sorts by time."""
    return UUID(bytes=((moment - _EPOCH) // _MICROSECOND).to_bytes(8, "big") + mark)


def _unpack(key: UUID) -> tuple[datetime, bytes]:
    microseconds = int.from_bytes(key.bytes[:8], "big")
    try:
        return _EPOCH + timedelta(microseconds=microseconds), key.bytes[8:]
    except OverflowError:  # a cursor that somebody made up
        return datetime.max.replace(tzinfo=UTC), b""
