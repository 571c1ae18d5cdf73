"""Takes events in: stored first, decided, queued, answered; all in one transaction.

The same event again gets the same answer; the same id with another body is refused. Everything
works on all events of a request at once: one statement per step, not per event (rulings B11). One
event is a set of one; events of one booking follow each other in waves.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NoReturn
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from core.crashpoint import crashpoint
from core.customers.store import CustomerIn, put_customers
from core.errors import ConflictError, InvalidInputError
from core.ids import EVENT, NOTIFICATION, new_uuid, outward
from core.notify import deciding, event_store, plans, rule_store, waves
from core.notify.candidates import Notice, Person, channel_order, look_up, on_each
from core.notify.events import Answer
from core.notify.rules import REMINDER, is_planned, notices
from core.notify.timing import time_notice
from core.notify.wording import Source
from core.outbox import cancel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey
    from core.notify.deciding import Verdict
    from core.notify.event_store import Key
    from core.notify.events import NotificationEvent
    from core.notify.plans import Plan
    from core.notify.rules import Rule
    from core.notify.services import Services

Outcome = Answer | InvalidInputError
"""What becomes of one event of many: its answer, or why it is refused."""

_TRIES: Final = 3


def _running() -> ConflictError:
    return ConflictError(
        "This event is being taken in by another request.", code="idempotency-in-progress"
    )


class _RehearsedError(Exception):
    """Ends the transaction of a dry run: nothing of it may stay."""


async def take_in(
    services: Services, business: BusinessRow, events: Sequence[NotificationEvent]
) -> list[Answer]:
    """Store events, decide about their notices and queue what may be sent.

    Args:
        services: the process's parts.
        business: the business all these events are of.
        events: what was told, in the caller's order.

    Returns:
        One answer per event; `duplicate` where it was known already.

    Raises:
        InvalidInputError: an id was used before with another body; the others are taken in.
        ConflictError: the same event is being taken in by another request right now.
    """
    return _answers(await take_in_each(services, business, events))


async def take_in_each(
    services: Services, business: BusinessRow, events: Sequence[NotificationEvent]
) -> list[Outcome]:
    """Do the same as `take_in`; an event that is refused gets its error as its outcome.

    The outcome is that of single calls in this order, in one transaction.

    Raises:
        ConflictError: one of them is being taken in by another request right now.
    """
    crashpoint("intake_started")
    for left in reversed(range(_TRIES)):
        try:
            async with services.database.business(business.id) as transaction:
                intake = _Intake(services, business, transaction)
                outcomes = await intake.run(events)
                crashpoint("intake_before_commit")
            break
        except asyncpg.LockNotAvailableError as error:
            raise _running() from error
        except asyncpg.DeadlockDetectedError:
            # Two calls that tell of the same bookings in different orders: one goes first now.
            if not left:
                raise
    crashpoint("intake_committed")
    services.ring.lanes(intake.woken)
    return outcomes


async def rehearse(services: Services, business: BusinessRow, event: NotificationEvent) -> Answer:
    """Do all that `take_in` does, and then leave nothing of it: no row, no ring.

    Returns:
        The answer that would be given, without ids, with the texts and every gate's answer; of an
        event that is known already, the decisions that were made about it.

    Raises:
        InvalidInputError: the id was used before with another body.
        ConflictError: the same event is being taken in by another request right now.
    """
    [answer] = _answers(await rehearse_each(services, business, [event]))
    return answer


async def rehearse_each(
    services: Services, business: BusinessRow, events: Sequence[NotificationEvent]
) -> list[Outcome]:
    """Do the same as `rehearse` for many; an event that is refused gets its error.

    Raises:
        ConflictError: one of them is being taken in by another request right now.
    """
    outcomes: list[Outcome] = []
    try:
        async with services.database.business(business.id) as transaction:
            intake = _Intake(services, business, transaction, rehearsal=True)
            outcomes += await intake.run(events)
            _undo()
    except _RehearsedError:
        pass
    except asyncpg.LockNotAvailableError as error:
        raise _running() from error
    return [
        msgspec.structs.replace(one, id=None, status="dry-run") if isinstance(one, Answer) else one
        for one in outcomes
    ]


class _Intake:
    """One request's events on their way through one transaction."""

    def __init__(
        self,
        services: Services,
        business: BusinessRow,
        transaction: Transaction,
        *,
        rehearsal: bool = False,
    ) -> None:
        self.services = services
        self.business = business
        self.transaction = transaction
        self.rehearsal = rehearsal
        self.woken: set[LaneKey] = set()
        self.rules: tuple[Rule, ...] = ()
        self.order: tuple[str, ...] = ()

    async def run(self, events: Sequence[NotificationEvent]) -> list[Outcome]:
        """Do it all and return the outcomes in the caller's order."""
        self.rules = await rule_store.rules_of(self.transaction, self.business.id)
        self.order = await channel_order(self.transaction, self.services, self.business)
        parts = waves.split(events)
        outcomes: dict[int, Outcome] = {}
        for wave in parts.waves:
            found = await self._take_in_wave([events[place] for place in wave])
            outcomes |= dict(zip(wave, found, strict=True))
        for place, first in parts.twins.items():
            outcomes[place] = _again(outcomes[first])
        return [outcomes[place] for place in range(len(events))]

    async def _take_in_wave(self, events: Sequence[NotificationEvent]) -> list[Outcome]:
        """Take in events that do not touch each other: one statement per step."""
        by_key = {(event.source, event.id): event for event in events}
        ids = {key: new_uuid() for key in by_key}
        fresh = await event_store.insert(
            self.transaction, self.services.vault, self.business.id, by_key, ids
        )
        crashpoint("intake_stored")
        old = {key: event for key, event in by_key.items() if key not in fresh}
        outcomes: dict[Key, Outcome] = {}
        outcomes |= await event_store.known(self.transaction, self.business.id, old)
        new = {key: event for key, event in by_key.items() if key in fresh}
        decided = await self._decide(new, ids)
        await event_store.keep_answers(
            self.transaction, self.business.id, {ids[key]: one for key, one in decided.items()}
        )
        outcomes |= decided
        return [outcomes[key] for key in by_key]

    async def _decide(
        self, events: Mapping[Key, NotificationEvent], ids: Mapping[Key, UUID]
    ) -> dict[Key, Answer]:
        """Store customers, renew plans, ask the gates about every notice, queue what passed."""
        if not events:
            return {}
        now = self.services.clock.now() + self.business.ahead
        people = await self._people(events)
        told = {
            key: plans.Told(
                event_id=ids[key],
                event=event,
                booking=event.booking,
                customer_id=people[key].id,
            )
            for key, event in events.items()
            if event.booking is not None
        }
        standing = await plans.advance(
            self.transaction, self.business.id, list(told.values()), now
        )
        on_their_way = await self._stop_old(standing)
        wanted = self._notices(events, ids, people, told, standing, now)
        candidates = await look_up(self.transaction, self.services, self.business, wanted, now)
        verdicts = deciding.decide(candidates)
        await self._bring_forward(verdicts)
        await deciding.write(
            self.transaction,
            self.services.vault,
            self.business.id,
            verdicts,
            ahead=self.business.ahead,
        )
        crashpoint("intake_queued")
        self.woken |= {
            (self.business.id, one.candidate.notice.channel) for one in verdicts if not one.reason
        }
        by_event: dict[UUID | None, list[Verdict]] = defaultdict(list)
        for one in verdicts:
            by_event[one.candidate.notice.event_id].append(one)
        return {
            key: self._answer(ids[key], by_event[ids[key]], on_their_way.get(ids[key], ()))
            for key in events
        }

    async def _people(self, events: Mapping[Key, NotificationEvent]) -> dict[Key, Person]:
        stored = await put_customers(
            self.transaction,
            self.services.vault,
            self.business.id,
            [_customer(event) for event in events.values()],
        )
        people = {
            key: Person(id=row.id, locale=row.locale, timezone=row.timezone)
            for key, row in zip(events, stored, strict=True)
        }
        await event_store.name_customers(
            self.transaction,
            self.business.id,
            {key: person.id for key, person in people.items()},
        )
        return people

    async def _stop_old(self, standing: Mapping[str, Plan]) -> dict[UUID, tuple[str, ...]]:
        """Cancel what waits for changed bookings; return by event what is too late to stop."""
        changed = {ref: plan.event_id for ref, plan in standing.items() if plan.event_id}
        if not changed:
            return {}
        refs = sorted(changed)
        await cancel.bookings(self.transaction, self.business.id, refs, "superseded")
        going = await cancel.on_their_way(self.transaction, self.business.id, refs)
        return {
            changed[ref]: tuple(outward(NOTIFICATION, one) for one in going[ref]) for ref in going
        }

    def _notices(
        self,
        events: Mapping[Key, NotificationEvent],
        ids: Mapping[Key, UUID],
        people: Mapping[Key, Person],
        told: Mapping[Key, plans.Told],
        standing: Mapping[str, Plan],
        now: datetime,
    ) -> list[Notice]:
        """Return every notice that the events ask for, with its moment."""
        wanted: list[Notice] = []
        for key, event in events.items():
            plan = standing[told[key].booking.ref] if key in told else None
            superseded = (
                plan is not None
                and event.type.startswith("booking.")
                and plans.is_superseded(told[key], plan)
            )
            starts_at = event.booking.starts_at if event.booking else None
            if starts_at is None and plan is not None:
                starts_at = plan.starts_at
            for rule in notices(event, self.rules, now):
                notice = Notice(
                    event=event,
                    event_id=ids[key],
                    rule=rule,
                    channel="",
                    person=people[key],
                    source=self._source(event, rule, starts_at),
                    generation=plan.generation if plan else 0,
                    superseded=superseded,
                    fallback_after=rule.fallback_after,
                    timing=time_notice(
                        rule,
                        starts_at,
                        now,
                        business_zone=ZoneInfo(self.business.timezone),
                        customer_zone=ZoneInfo(people[key].timezone or self.business.timezone),
                        planned=is_planned(rule, event),
                    ),
                )
                wanted += on_each(notice, rule.channels or self.order)
        return wanted

    def _source(self, event: NotificationEvent, rule: Rule, starts_at: datetime | None) -> Source:
        booking = event.booking
        if booking is not None and booking.starts_at is None:
            booking = msgspec.structs.replace(booking, starts_at=starts_at)
        return Source(
            business_name=self.business.name,
            timezone=self.business.timezone,
            customer=event.customer,
            booking=booking,
            fallbacks=rule.variables,
            details=event.details,
        )

    async def _bring_forward(self, verdicts: Sequence[Verdict]) -> None:
        """Take planned reminders out of the queue that a caller's scheduler sends right now."""
        due = [
            (notice.event.booking.ref, notice.rule.key)
            for notice in (one.candidate.notice for one in verdicts if not one.reason)
            if notice.event.type == REMINDER and notice.event.booking
        ]
        if due:
            await cancel.notices(self.transaction, self.business.id, due, "superseded")

    def _answer(
        self, event_id: UUID, verdicts: Sequence[Verdict], on_their_way: tuple[str, ...]
    ) -> Answer:
        return Answer(
            id=outward(EVENT, event_id),
            decisions=tuple(one.rehearsed() if self.rehearsal else one.told() for one in verdicts),
            superseded_in_flight=on_their_way,
        )


def _undo() -> NoReturn:
    raise _RehearsedError


def _answers(outcomes: Sequence[Outcome]) -> list[Answer]:
    answers: list[Answer] = []
    for one in outcomes:
        if isinstance(one, InvalidInputError):
            raise one
        answers.append(one)
    return answers


def _again(outcome: Outcome) -> Outcome:
    """Return what a twin in the same call is told: it is a duplicate, or refused as well."""
    if isinstance(outcome, InvalidInputError):
        return outcome
    return msgspec.structs.replace(outcome, duplicate=True)


def _customer(event: NotificationEvent) -> CustomerIn:
    told = event.customer
    return CustomerIn(
        ref=told.id,
        first_name=told.first_name,
        last_name=told.last_name,
        phone=told.phone,
        email=told.email,
        locale=told.locale,
        timezone=told.timezone,
    )
