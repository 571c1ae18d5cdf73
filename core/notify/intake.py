"""Takes events in: stored first, decided, queued, answered; all in one transaction.

The same event again gets the same answer; the same id with another body is refused. Everything
works on all events of a request at once: one statement per step, not per event (rulings B11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from core.customers.store import CustomerIn, put_customers
from core.errors import ConflictError, InvalidInputError
from core.ids import DECISION, EVENT, NOTIFICATION, new_uuid, outward
from core.notify.candidates import Candidate, Notice, Person, channel_order, look_up
from core.notify.events import Answer, DecisionAnswer
from core.notify.policy import judge, refusal
from core.notify.rules import REPLACING, notices
from core.notify.tables import Outcome
from core.notify.wording import Source
from core.outbox import cancel, store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey
    from core.notify.events import NotificationEvent
    from core.notify.policy import CheckResult
    from core.notify.services import Services


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
        InvalidInputError: an id was used before with another body.
        ConflictError: the same event is being taken in by another request right now.
    """
    try:
        async with services.database.business(business.id) as transaction:
            intake = _Intake(services, business, transaction)
            answers = await intake.run(events)
    except asyncpg.LockNotAvailableError as error:
        raise ConflictError(
            "This event is being taken in by another request.", code="idempotency-in-progress"
        ) from error
    services.ring.lanes(intake.woken)
    return answers


class _Intake:
    """One request's events on their way through one transaction."""

    def __init__(
        self, services: Services, business: BusinessRow, transaction: Transaction
    ) -> None:
        self.services = services
        self.business = business
        self.transaction = transaction
        self.woken: set[LaneKey] = set()

    async def run(self, events: Sequence[NotificationEvent]) -> list[Answer]:
        """Do it all and return the answers in the caller's order."""
        unique = {(event.source, event.id): event for event in reversed(events)}
        ids = {key: new_uuid() for key in unique}
        fresh = await self._store(unique, ids)
        answers = await self._known(unique, fresh)
        new = {key: event for key, event in unique.items() if key in fresh}
        decided = await self._decide(new, ids)
        await self._keep_answers(decided, ids)
        answers |= decided
        told: set[tuple[str, str]] = set()
        result: list[Answer] = []
        for event in events:
            key = (event.source, event.id)
            if unique[key].body_hash != event.body_hash:
                raise _mismatch(event)
            answer = answers[key]
            again = key in told and not answer.duplicate
            result.append(msgspec.structs.replace(answer, duplicate=True) if again else answer)
            told.add(key)
        return result

    async def _store(
        self, events: dict[tuple[str, str], NotificationEvent], ids: dict[tuple[str, str], UUID]
    ) -> set[tuple[str, str]]:
        """Insert what is new; a rival with the same key is waited for."""
        rows = [(ids[key], event) for key, event in sorted(events.items())]
        stored = await self.transaction.fetch(
            """
            INSERT INTO event (id, business_id, source, external_id, type, occurred_at,
                               booking_ref, booking_version, body_hash, payload_sealed)
            SELECT t.id, $1, t.source, t.external_id, t.type, t.at, t.booking_ref, t.version,
                   t.body_hash, t.payload
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                        $7::text[], $8::bigint[], $9::bytea[], $10::bytea[])
                AS t(id, source, external_id, type, at, booking_ref, version, body_hash, payload)
            ON CONFLICT DO NOTHING
            RETURNING source, external_id
            """,
            self.business.id,
            [row_id for row_id, _ in rows],
            [event.source for _, event in rows],
            [event.id for _, event in rows],
            [event.type for _, event in rows],
            [event.time for _, event in rows],
            [event.booking.ref if event.booking else None for _, event in rows],
            [event.booking.version if event.booking else None for _, event in rows],
            [event.body_hash for _, event in rows],
            [self._seal("event", "payload_sealed", row_id, event) for row_id, event in rows],
        )
        return {(row["source"], row["external_id"]) for row in stored}

    async def _known(
        self, events: dict[tuple[str, str], NotificationEvent], fresh: set[tuple[str, str]]
    ) -> dict[tuple[str, str], Answer]:
        """Return the kept answers of events that were there already, by id or by meaning."""
        old = {key: event for key, event in events.items() if key not in fresh}
        if not old:
            return {}
        rows = await self.transaction.fetch(
            """
            SELECT k.source, k.external_id, e.id, e.body_hash, e.answer,
                   e.source = k.source AND e.external_id = k.external_id AS same_id
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                AS k(source, external_id, type, booking_ref, version)
            JOIN LATERAL (
                SELECT x.* FROM event x WHERE x.business_id = $1 AND (
                    (x.source = k.source AND x.external_id = k.external_id)
                    OR (x.type = k.type AND x.booking_ref = k.booking_ref
                        AND x.booking_version = k.version))
                ORDER BY (x.source = k.source AND x.external_id = k.external_id) DESC LIMIT 1
            ) e ON true
            """,
            self.business.id,
            [event.source for event in old.values()],
            [event.id for event in old.values()],
            [event.type for event in old.values()],
            [event.booking.ref if event.booking else None for event in old.values()],
            [event.booking.version if event.booking else None for event in old.values()],
        )
        answers: dict[tuple[str, str], Answer] = {}
        for row in rows:
            key = (row["source"], row["external_id"])
            if row["same_id"] and bytes(row["body_hash"]) != old[key].body_hash:
                raise _mismatch(old[key])
            kept: Any = row["answer"] or {"id": outward(EVENT, row["id"])}
            answers[key] = msgspec.structs.replace(msgspec.convert(kept, Answer), duplicate=True)
        return answers

    async def _decide(
        self, events: dict[tuple[str, str], NotificationEvent], ids: dict[tuple[str, str], UUID]
    ) -> dict[tuple[str, str], Answer]:
        """Store customers, ask the gates about every notice, queue what passed."""
        if not events:
            return {}
        people = await self._people(events)
        now = self.services.clock.now()
        order = await channel_order(self.transaction, self.services, self.business)
        wanted = [
            Notice(
                event=event,
                event_id=ids[key],
                rule=rule,
                channel=order[0] if order else "",
                person=people[key],
                source=self._source(event, people[key]),
            )
            for key, event in events.items()
            for rule in notices(event, now)
        ]
        candidates = await look_up(self.transaction, self.services, self.business, wanted, now)
        await self._replace_waiting(events, candidates)
        decisions = await self._write(candidates)
        return {
            key: Answer(
                id=outward(EVENT, ids[key]),
                decisions=tuple(
                    decision
                    for candidate, decision in zip(candidates, decisions, strict=True)
                    if candidate.notice.event_id == ids[key]
                ),
            )
            for key in events
        }

    async def _people(
        self, events: dict[tuple[str, str], NotificationEvent]
    ) -> dict[tuple[str, str], Person]:
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
        await self.transaction.execute(
            """
            UPDATE event e SET customer_id = t.customer_id
            FROM unnest($2::text[], $3::text[], $4::uuid[]) AS t(source, external_id, customer_id)
            WHERE e.business_id = $1 AND e.source = t.source AND e.external_id = t.external_id
            """,
            self.business.id,
            [key[0] for key in people],
            [key[1] for key in people],
            [person.id for person in people.values()],
        )
        return people

    def _source(self, event: NotificationEvent, person: Person) -> Source:
        return Source(
            business_name=self.business.name,
            timezone=person.timezone or self.business.timezone,
            customer=event.customer,
            booking=event.booking,
        )

    async def _replace_waiting(
        self, events: dict[tuple[str, str], NotificationEvent], candidates: Sequence[Candidate]
    ) -> None:
        """Cancel what waits for bookings that changed, unless the news itself is old."""
        old = {one.notice.event_id for one in candidates if one.facts.superseded}
        stale = [one.notice.event.id for one in candidates if one.notice.event_id in old]
        changed = {
            event.booking.ref
            for event in events.values()
            if event.type in REPLACING and event.booking and event.id not in stale
        }
        if changed:
            await cancel.bookings(
                self.transaction, self.business.id, sorted(changed), "superseded"
            )

    async def _write(self, candidates: Sequence[Candidate]) -> list[DecisionAnswer]:
        """Write decisions and outbox rows; returns what the caller is told."""
        rows: list[store.NewRow] = []
        kept: list[tuple[UUID, UUID | None, Candidate, str, tuple[CheckResult, ...]]] = []
        told: list[DecisionAnswer] = []
        for candidate in candidates:
            checks = judge(candidate.facts)
            reason = refusal(checks)
            decision_id, notification_id = new_uuid(), None
            if not reason:
                notification_id = new_uuid()
                rows.append(self._row(candidate, notification_id))
                self.woken.add((self.business.id, candidate.notice.channel))
            kept.append((decision_id, notification_id, candidate, reason, checks))
            told.append(_told(candidate, decision_id, notification_id, reason))
        await self._keep_decisions(kept)
        await store.insert(self.transaction, rows)
        return told

    def _row(self, candidate: Candidate, notification_id: UUID) -> store.NewRow:
        notice, booking = candidate.notice, candidate.notice.event.booking
        if candidate.address_id is None or candidate.connection_id is None:
            raise AssertionError("a notice passed its gates without an address or a connection")
        return store.NewRow(
            id=notification_id,
            business_id=self.business.id,
            customer_id=notice.person.id,
            channel=notice.channel,
            event_type=notice.event.type,
            template_name=notice.rule.template,
            language_code=candidate.language,
            template_version=candidate.template_version,
            purpose="marketing" if candidate.marketing else "transactional",
            payload={"parameters": list(candidate.parameters), "event": notice.event.id},
            due_at=candidate.facts.now,
            event_id=notice.event_id,
            rule_key=notice.rule.key,
            booking_ref=booking.ref if booking else None,
            address_id=candidate.address_id,
            connection_id=candidate.connection_id,
            useful_until=candidate.facts.useful_until,
            variables_sealed=self._seal(
                "notification_outbox", "variables_sealed", notification_id, notice.source
            ),
            trace_id="",
        )

    async def _keep_decisions(
        self, kept: Sequence[tuple[UUID, UUID | None, Candidate, str, tuple[CheckResult, ...]]]
    ) -> None:
        if not kept:
            return
        await self.transaction.execute(
            """
            INSERT INTO decision (id, business_id, event_id, rule_key, notification_id,
                customer_id, channel, template_name, language_code, booking_ref, outcome,
                reason, checks)
            SELECT t.id, $1, t.event_id, t.rule_key, t.notification_id, t.customer_id, t.channel,
                   t.template, t.language, t.booking_ref, t.outcome, t.reason, t.checks
            FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
                        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                        $13::jsonb[])
                AS t(id, event_id, rule_key, notification_id, customer_id, channel, template,
                     language, booking_ref, outcome, reason, checks)
            """,
            self.business.id,
            [decision_id for decision_id, *_ in kept],
            [one.notice.event_id for _, _, one, _, _ in kept],
            [one.notice.rule.key for _, _, one, _, _ in kept],
            [notification_id for _, notification_id, *_ in kept],
            [one.notice.person.id for _, _, one, _, _ in kept],
            [one.notice.channel for _, _, one, _, _ in kept],
            [one.notice.rule.template for _, _, one, _, _ in kept],
            [one.language for _, _, one, _, _ in kept],
            [
                one.notice.event.booking.ref if one.notice.event.booking else None
                for _, _, one, _, _ in kept
            ],
            [Outcome.SUPPRESSED if reason else Outcome.QUEUED for _, _, _, reason, _ in kept],
            [reason for _, _, _, reason, _ in kept],
            [msgspec.to_builtins(checks) for *_, checks in kept],
        )

    async def _keep_answers(
        self, decided: dict[tuple[str, str], Answer], ids: dict[tuple[str, str], UUID]
    ) -> None:
        if decided:
            await self.transaction.execute(
                """
                UPDATE event e SET answer = t.answer
                FROM unnest($2::uuid[], $3::jsonb[]) AS t(id, answer)
                WHERE e.business_id = $1 AND e.id = t.id
                """,
                self.business.id,
                [ids[key] for key in decided],
                [msgspec.to_builtins(answer) for answer in decided.values()],
            )

    def _seal(self, table: str, column: str, row_id: UUID, value: msgspec.Struct) -> bytes:
        context = (table, column, str(self.business.id), str(row_id))
        return self.services.vault.seal(msgspec.json.encode(value), context=context)


def _told(
    candidate: Candidate, decision_id: UUID, notification_id: UUID | None, reason: str
) -> DecisionAnswer:
    return DecisionAnswer(
        rule=candidate.notice.rule.key,
        channel=candidate.notice.channel,
        template=candidate.notice.rule.template,
        outcome=Outcome.SUPPRESSED if reason else Outcome.QUEUED,
        reason=reason,
        notification_id=outward(NOTIFICATION, notification_id)
        if notification_id
        else outward(DECISION, decision_id),
    )


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


def _mismatch(event: NotificationEvent) -> InvalidInputError:
    return InvalidInputError(
        f"The event {event.id} of {event.source} was told before with another body.",
        code="idempotency-mismatch",
    )
