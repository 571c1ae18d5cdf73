"""The plan of a booking: its pending notices share a generation; each change makes a new one.

The highest booking version wins; where an event tells none, its time decides. All bookings of a
request are locked together, in one order, before anything is decided about them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from core.ids import new_uuid
from core.notify.rules import REMINDER
from core.notify.tables import PlanState
from core.outbox import cancel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.notify.events import Booking, NotificationEvent

STATES: Final = {
    "booking.confirmed": PlanState.ACTIVE,
    "booking.imported": PlanState.ACTIVE,
    "booking.rescheduled": PlanState.ACTIVE,
    "booking.canceled": PlanState.CANCELED,
    "booking.completed": PlanState.COMPLETED,
    "booking.no_show": PlanState.NO_SHOW,
}
"""The events that change a plan, and what they leave behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event, as far as plans are concerned."""

    event_id: UUID
    event: NotificationEvent
    booking: Booking
    customer_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a booking stands; `event_id` is the event of this request that made it so."""

    generation: int = 0
    version: int | None = None
    starts_at: datetime | None = None
    told_at: datetime | None = None
    state: str = PlanState.ACTIVE
    customer_id: UUID | None = None
    event_id: UUID | None = None


async def advance(
    transaction: Transaction, business_id: UUID, told: Sequence[Told], now: datetime
) -> dict[str, Plan]:
    """Lock the plans of all these bookings and bring them to what was told.

    Returns:
        Booking -> its plan now; `event_id` is set where one of these events changed it.
    """
    refs = sorted({one.booking.ref for one in told})
    if not refs:
        return {}
    standing = await _lock(transaction, business_id, refs)
    after = {ref: _after(standing[ref], told) for ref, told in _by_booking(told).items()}
    changed = {ref: plan for ref, plan in sorted(after.items()) if plan.event_id is not None}
    await _write(transaction, business_id, changed, now)
    return after


def is_superseded(one: Told, plan: Plan) -> bool:
    """Tell whether newer news of the booking made an event pointless."""
    if one.event.type in STATES:
        return plan.event_id != one.event_id
    if plan.told_at is None:
        return False
    return plan.state != PlanState.ACTIVE or is_older(one, plan)


def is_older(one: Told, plan: Plan) -> bool:
    """Tell whether an event speaks of an earlier state of the booking than the plan."""
    version = one.booking.version
    if version is not None and plan.version is not None and version != plan.version:
        return version < plan.version
    if version is not None and version == plan.version and one.event.type == REMINDER:
        return False
    return plan.told_at is not None and one.event.time < plan.told_at


def _by_booking(told: Sequence[Told]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for one in told:
        found.setdefault(one.booking.ref, []).append(one)
    return found


def _after(plan: Plan, told: Sequence[Told]) -> Plan:
    """Return the plan after all of a booking's events: one generation further, by the newest."""
    newest = plan
    for one in told:
        if one.event.type not in STATES or is_older(one, newest):
            continue
        versions = [v for v in (newest.version, one.booking.version) if v is not None]
        newest = Plan(
            generation=plan.generation + 1,
            version=max(versions, default=None),
            starts_at=one.booking.starts_at or newest.starts_at,
            told_at=one.event.time,
            state=STATES[one.event.type],
            customer_id=one.customer_id,
            event_id=one.event_id,
        )
    return newest


async def _lock(
    transaction: Transaction, business_id: UUID, refs: Sequence[str]
) -> dict[str, Plan]:
    await transaction.execute(
        """
        INSERT INTO booking_plan (id, business_id, booking_ref)
        SELECT t.id, $1, t.ref FROM unnest($2::uuid[], $3::text[]) AS t(id, ref)
        WHERE NOT EXISTS (SELECT FROM booking_plan p
                          WHERE p.business_id = $1 AND p.booking_ref = t.ref)
        ORDER BY t.ref
        ON CONFLICT (business_id, booking_ref) DO NOTHING
        """,
        business_id,
        [new_uuid() for _ in refs],
        list(refs),
    )
    rows = await transaction.fetch(
        """
        SELECT booking_ref, generation, booking_version, starts_at, told_at, state, customer_id
        FROM booking_plan WHERE business_id = $1 AND booking_ref = ANY ($2)
        ORDER BY booking_ref FOR NO KEY UPDATE
        """,
        business_id,
        list(refs),
    )
    return {row["booking_ref"]: _plan(row) for row in rows}


async def _write(
    transaction: Transaction, business_id: UUID, plans: Mapping[str, Plan], now: datetime
) -> None:
    if not plans:
        return
    await transaction.execute(
        """
        UPDATE booking_plan p SET generation = t.generation, booking_version = t.version,
               starts_at = t.starts_at, told_at = t.told_at, state = t.state,
               customer_id = t.customer_id, updated_at = $2
        FROM unnest($3::text[], $4::int[], $5::bigint[], $6::timestamptz[], $7::timestamptz[],
                    $8::text[], $9::uuid[])
            AS t(ref, generation, version, starts_at, told_at, state, customer_id)
        WHERE p.business_id = $1 AND p.booking_ref = t.ref
        """,
        business_id,
        now,
        list(plans),
        [plan.generation for plan in plans.values()],
        [plan.version for plan in plans.values()],
        [plan.starts_at for plan in plans.values()],
        [plan.told_at for plan in plans.values()],
        [plan.state for plan in plans.values()],
        [plan.customer_id for plan in plans.values()],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledOff:
    """How many messages of a booking were stopped, and how many had left before."""

    canceled: int
    already_sent: int


async def call_off(
    transaction: Transaction, business_id: UUID, ref: str, now: datetime
) -> CalledOff | None:
    """Cancel what a booking has planned although the booking stands; None if it is unknown."""
    found = await _lock_known(transaction, business_id, ref)
    if found is None:
        return None
    plan = replace(found, generation=found.generation + 1)
    await _write(transaction, business_id, {ref: plan}, now)
    stopped = await cancel.bookings(transaction, business_id, [ref], "canceled")
    left: int = await transaction.fetchval(
        """
        SELECT count(*) FROM notification_outbox
        WHERE business_id = $1 AND booking_ref = $2
          AND (phase IN ('in_flight', 'unconfirmed') OR status IN ('sent', 'delivered', 'read'))
        """,
        business_id,
        ref,
    )
    return CalledOff(canceled=len(stopped), already_sent=left)


async def _lock_known(transaction: Transaction, business_id: UUID, ref: str) -> Plan | None:
    row = await transaction.fetchrow(
        """
        SELECT generation, booking_version, starts_at, told_at, state, customer_id
        FROM booking_plan WHERE business_id = $1 AND booking_ref = $2 FOR NO KEY UPDATE
        """,
        business_id,
        ref,
    )
    return _plan(row) if row else None


def _plan(row: Mapping[str, Any]) -> Plan:
    return Plan(
        generation=row["generation"],
        version=row["booking_version"],
        starts_at=row["starts_at"],
        told_at=row["told_at"],
        state=row["state"],
        customer_id=row["customer_id"],
    )
