"""Bookings that change around the send, and time that jumps (exam F02, F03, F05, F06)."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

from core.ids import NOTIFICATION, outward

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


HOUR = 3600
STEPS = ("before_claim_commit:1:stop", "after_claim:1:stop", "before_send:1:stop")


def test_f02_the_clocks_of_the_hosts_jump(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """Workers whose clock jumps by hours or a day send nothing twice and keep the cap."""
    size = town.plan.size("F02")
    sitting = sit("F02", **size)
    for _ in sitting.repeats():
        town.workers(0)
        tenant, capped = town.tenant(), town.tenant(per_minute=size["messages"] // 2)
        jumpers = [
            town.worker(EXAM_CLOCK_STEP=f"{seconds}:2")
            for seconds in (-2 * HOUR, 2 * HOUR, -24 * HOUR)
        ]
        for number in range(3):
            town.fill(tenant, size["messages"], f"b-{number}")
            town.fill(capped, size["messages"], f"b-{number}")
            time.sleep(1.5)
        town.until(lambda: not town.count(tenant, "phase <> 'final'"))
        for one in jumpers:
            one.stop()
        verdict = town.judge(tenant)
        assert verdict.accepted == verdict.promised == 3 * size["messages"]
        at = [one.at for one in town.taken(capped)]
        sitting.passes(verdict, capped_sent=len(at))
        cap = size["messages"] // 2
        assert len(at) <= cap * (1 + int((max(at) - min(at)) // 60))
        town.sql.execute(
            "UPDATE notification_outbox SET status = 'canceled', phase = 'final', "
            "reason = 'canceled' WHERE business_id = %s AND phase = 'waiting'",
            (capped.id,),
        )


def test_f03_nobody_worked_for_three_hours(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """After an outage a reminder that still helps goes out, one that does not is `expired`."""
    sitting = sit("F03", bookings=2, away_hours=3)
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant(reminders=True)
        # Five hours pass: the first's day-before reminder is three hours late and still helps;
        # the second has begun an hour ago, and its reminder is of no use to anybody.
        now = datetime.now(UTC)
        town.book(tenant, "helps", starts_at=(now + timedelta(hours=26)).isoformat())
        town.book(tenant, "begun", starts_at=(now + timedelta(hours=4)).isoformat())
        town.sql.execute(
            "UPDATE notification_outbox SET next_retry_at = next_retry_at - interval '5 hours', "
            "useful_until = useful_until - interval '5 hours', "
            "created_at = created_at - interval '5 hours' "
            "WHERE business_id = %s AND rule_key LIKE 'reminder%%'",
            (tenant.id,),
        )
        town.workers(1)
        town.rest(tenant)
        rows = town.sql.execute(
            "SELECT booking_ref, rule_key, status, reason, begun_at > useful_until "
            "FROM notification_outbox WHERE business_id = %s AND rule_key LIKE 'reminder%%'",
            (tenant.id,),
        ).fetchall()
        found = {(row[0], row[1]): row[2:4] for row in rows}
        assert found["helps", "reminder-24h"][0] in {"sent", "delivered", "read"}
        assert found["begun", "reminder-2h"] == ("canceled", "expired")
        assert not any(row[4] for row in rows)
        sitting.passes(town.judge(tenant))


def change(town: ExamTown, tenant: Tenant, booking: str, kind: str) -> tuple[float, list[str]]:
    """Tell a change; returns when it was acknowledged and what had left by then."""
    later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    answer = town.post(
        town.event(tenant, booking, kind=f"booking.{kind}", version=2, starts_at=later)
    )
    assert answer.status_code == 202, answer.text
    town.promise(tenant, answer)
    left = answer.json().get("superseded_in_flight") or []
    return time.monotonic(), left


def stale(
    town: ExamTown, tenant: Tenant, changes: dict[str, tuple[float, list[str]]]
) -> list[str]:
    """Return messages of an old version that were taken after the change and not told as left."""
    bookings = {
        row[0]: row[1]
        for row in town.sql.execute(
            "SELECT id, booking_ref FROM notification_outbox "
            "WHERE business_id = %s AND event_type = 'booking.confirmed'",
            (tenant.id,),
        ).fetchall()
    }
    old = {outward_of(key): ref for key, ref in bookings.items()}
    return [
        one.callback
        for one in town.taken(tenant)
        if one.callback in old
        and one.at > changes[old[one.callback]][0]
        and one.callback not in changes[old[one.callback]][1]
    ]


def outward_of(key: Any) -> str:
    """Return a message's id as callers see it."""
    return outward(NOTIFICATION, key)


def test_f05_a_booking_changes_at_each_step_of_its_send(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Changed while the worker stands at a step: what had not begun never goes out."""
    sitting = sit("F05", steps=len(STEPS))
    for _ in sitting.repeats():
        town.workers(0)
        tenants = []
        for step in STEPS:
            tenant = town.tenant()
            tenants.append(tenant)
            [old] = town.book(tenant, "b-1", version=1)
            worker = town.worker(step)
            town.stands(worker)
            with ThreadPoolExecutor(1) as pool:
                told = pool.submit(change, town, tenant, "b-1", "rescheduled")
                time.sleep(0.4)
                town.go_on(worker)
                changes = {"b-1": told.result()}
            worker.stop()
            town.workers(1)
            town.rest(tenant)
            town.workers(0)
            assert stale(town, tenant, changes) == []
            went = {one.callback for one in town.taken(tenant)}
            if step.startswith("before_send"):
                assert changes["b-1"][1] == [old]
                assert old in went
            else:
                assert old not in went
                assert town.rows(tenant)[old].reason == "superseded"
            assert len(went - {old}) == 1
        sitting.passes(town.judge(*tenants))


def test_f05_many_bookings_change_while_they_are_sent(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Rescheduled or canceled at random moments around the send: nothing stale, nothing twice."""
    size = town.plan.size("F05")
    sitting = sit("F05", cell="races", **size)
    for _ in sitting.repeats():
        draw = random.Random(town.plan.seed)  # noqa: S311 - repeatable on purpose
        workers = town.workers(2)
        for worker in workers:
            town.ready(worker)
        tenant = town.tenant()
        town.rules({"before_ms": [0, 20], "after_ms": [0, 40]})
        plans = [
            (f"b-{n}", draw.choice(("rescheduled", "canceled")), draw.uniform(0, 0.15))
            for n in range(size["races"])
        ]
        changes: dict[str, tuple[float, list[str]]] = {}

        def race(plan: tuple[str, str, float], tenant: Tenant = tenant) -> None:
            booking, kind, wait = plan
            town.book(tenant, booking, version=1)
            time.sleep(wait)
            changes[booking] = change(town, tenant, booking, kind)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(race, plans))
        town.rest(tenant)
        assert stale(town, tenant, changes) == []
        verdict = town.judge(tenant)
        too_late = sum(bool(left) for _, left in changes.values())
        sitting.passes(verdict, in_flight_at_the_change=too_late)


def test_f06_events_out_of_order_end_at_the_highest_version(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Every order of three versions, each told twice: the plan is the newest one's alone."""
    orders = list(permutations((1, 2, 3)))
    sitting = sit("F06", orders=len(orders))
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant(reminders=True)
        base = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
        for number, order in enumerate(orders):
            for version in (*order, *order):
                kind = "booking.confirmed" if version == 1 else "booking.rescheduled"
                starts_at = (base + timedelta(days=version)).isoformat()
                town.book(tenant, f"b-{number}", kind=kind, version=version, starts_at=starts_at)
        town.rest(tenant)
        rows = town.sql.execute(
            "SELECT p.booking_version, p.starts_at, array_agg(o.next_retry_at ORDER BY 1) "
            "FROM booking_plan p JOIN notification_outbox o ON o.business_id = p.business_id "
            "AND o.booking_ref = p.booking_ref AND o.phase = 'waiting' "
            "WHERE p.business_id = %s GROUP BY p.id",
            (tenant.id,),
        ).fetchall()
        assert len(rows) == len(orders)
        newest = base + timedelta(days=3)
        reminders = {newest - timedelta(hours=24), newest - timedelta(hours=2)}
        for version, starts_at, waiting in rows:
            assert (version, starts_at) == (3, newest)
            assert set(waiting) == reminders
        seen = {one.id for one in town.intakes if one.number == tenant.number}
        town.intakes = list(dict.fromkeys(town.intakes))
        assert len(seen) >= len(orders)
        sitting.passes(town.judge(tenant))
