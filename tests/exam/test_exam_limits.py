"""Caps, storms, suspension and the kill switch (exam E05-E07, E09, N03)."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import redis
from exam_ledger import WINDOW_SECONDS, over_cap

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting
    from fixture_town import Process


SLOTS_PER_BUSINESS = 16
SOCKETS = 80
"""The most connections one worker keeps to a provider: its slots and the spare ones."""


def memory_of(process: Process) -> int:
    """Return how much memory a process holds, in bytes."""
    with open(f"/proc/{process.popen.pid}/statm") as file:  # noqa: PTH123 - a path of the kernel
        return int(file.read().split()[1]) * 4096


def test_e05_a_storm_at_the_provider(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """Half of all calls refused, some lost or reset, all slow: nothing lost or doubled."""
    size = town.plan.size("E05")
    sitting = sit("E05", **size)
    for _ in sitting.repeats():
        workers = town.workers(2)
        for worker in workers:
            town.ready(worker)
        before = [memory_of(worker) for worker in workers]
        tenant = town.tenant()
        acts = [
            {"act": "refuse", "status": 503, "code": 131016, "weight": 50},
            {"act": "accept_reset", "weight": 6},
            {"act": "reset", "weight": 4},
            {"act": "accept", "weight": 40 - size["hang_share"]},
            {"act": "accept_hang", "weight": size["hang_share"]},
        ]
        storm = {"number": tenant.number, "acts": acts, "before_ms": [20, 400]}
        town.rules(storm | {"news": [[2000, "sent"]]})
        town.fill(tenant, size["messages"])
        sockets = 0
        ends_at = time.monotonic() + town.at_most(200)
        while town.count(tenant, "phase IN ('waiting', 'leased', 'in_flight')"):
            assert time.monotonic() < ends_at, "the storm's backlog does not drain"
            sockets = max(sockets, town.ask("state")["open"])
            town.hurry(tenant)
            time.sleep(0.3)
        town.rules()
        town.rest(tenant)
        verdict = town.judge(tenant)
        grown = max(memory_of(one) - was for one, was in zip(workers, before, strict=True))
        requests = len(town.tried(tenant))
        sitting.passes(verdict, requests=requests, sockets=sockets, grown_mb=grown >> 20)
        assert verdict.promised == size["messages"]
        assert grown < 50 << 20
        assert sockets <= len(workers) * SOCKETS + 16
        # Six tries at the most, then it is failed with its reason.
        assert requests <= 6 * size["messages"]


def test_e06_e07_caps_hold_in_every_window_whatever_happens(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Workers killed, Redis flushed, a clock moved: no window exceeds its cap; caps are used."""
    size = town.plan.size("E06")
    sitting = sit("E06", **size)
    also = sit("E07", **size)
    for _ in sitting.repeats():
        next(also.repeats())
        town.workers(0)
        tenants = {town.tenant(per_minute=cap): cap for cap in size["caps"]}
        windows = int(size["seconds"] // WINDOW_SECONDS) + 1
        for tenant, cap in tenants.items():
            town.fill(tenant, min(cap * (windows + 1), cap * windows + 40))
        # The lanes of the exercise slept or refilled while it was prepared: they start full.
        town.workers(size["workers"])
        town.until(lambda: all(town.taken(one) for one in tenants))
        began = time.monotonic()
        quarter = size["seconds"] / 4
        time.sleep(quarter)
        town.crew[0].kill()
        town.workers(size["workers"])
        time.sleep(quarter)
        with redis.Redis(port=town.redis.port) as connection:
            connection.flushall()
        mover = town.worker(EXAM_CLOCK_STEP="3600:0")
        time.sleep(quarter)
        town.crew[0].kill()
        town.workers(size["workers"])
        time.sleep(max(0.0, began + size["seconds"] - time.monotonic()))
        mover.stop()
        for tenant in tenants:
            put_away(town, tenant)
        town.end_leases()
        town.rest(*tenants)
        caps = {tenant.number: cap for tenant, cap in tenants.items()}
        verdict = town.judge(*tenants, caps=caps)
        used = {cap: usage(town, tenant, cap, size["seconds"]) for tenant, cap in tenants.items()}
        also.figures["kills"] = 2
        sitting.passes(verdict, used_percent=used)
        also.passes(verdict)
        for tenant, cap in tenants.items():
            assert over_cap([one.at for one in town.taken(tenant)], cap) == 0
        # What two killed workers had claimed and not sent is spent; the larger caps show the use.
        assert all(percent >= 85 for cap, percent in used.items() if cap >= 20), used


def put_away(town: ExamTown, tenant: Tenant) -> None:
    """Cancel what the cap still holds back, as a person would."""
    town.sql.execute(
        "UPDATE notification_outbox SET status = 'canceled', phase = 'final', reason = 'canceled' "
        "WHERE business_id = %s AND phase = 'waiting'",
        (tenant.id,),
    )


def usage(town: ExamTown, tenant: Tenant, cap: int, seconds: float) -> int:
    """Return how many percent of what the cap allowed in this time were used."""
    at = sorted(one.at for one in town.taken(tenant))
    within = [one for one in at if one <= at[0] + seconds]
    if cap <= 32:
        allowed = float(cap * (int(seconds // 62) + 1))
    else:
        burst = cap // 10
        allowed = burst + (cap - burst) * seconds / 62
    return round(100 * len(within) / allowed)


def test_e09_a_failing_channel_suspends_itself(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """It stops within what is in flight, tries one message after a minute, and comes back."""
    size = town.plan.size("E09")
    sitting = sit("E09", **size)
    for _ in sitting.repeats():
        workers = town.workers(2)
        tenant = town.tenant(suspend_percent=50, suspend_window=50, suspend_minimum=20)
        refused = {"act": "refuse", "status": 400, "code": 131008}
        town.rules({"number": tenant.number, "acts": [refused], "before_ms": [20, 60]})
        town.fill(tenant, size["messages"])
        state = "SELECT state FROM lane WHERE business_id = %s"

        def suspended(tenant: Tenant = tenant) -> bool:
            return town.sql.execute(state, (tenant.id,)).fetchone() == ("suspended",)

        town.until(suspended)
        town.until(lambda: not town.count(tenant, "phase IN ('leased', 'in_flight')"))
        tried = len(town.tried(tenant))
        # Twenty make the verdict; beyond them only what was in flight at that moment.
        assert 20 <= tried <= 20 + len(workers) * 2 * SLOTS_PER_BUSINESS
        time.sleep(3)
        assert len(town.tried(tenant)) == tried
        a_minute_passes(town, tenant)
        town.until(lambda: len(town.tried(tenant)) == tried + 1)
        town.until(suspended)
        town.rules()
        a_minute_passes(town, tenant)
        town.rest(tenant)
        sitting.passes(town.judge(tenant), tried_before_the_stop=tried)
        assert town.count(tenant, "status = 'read'") == size["messages"] - tried - 1


def a_minute_passes(town: ExamTown, tenant: Tenant) -> None:
    """Let a suspended lane's minute pass: by waiting, or at small size by moving it back."""
    if town.plan.full:
        time.sleep(61)
        return
    # The half-open lane may begin one a minute, counted from its last one.
    with town.sql.transaction():
        for table, column in (("lane", "refilled_at"), ("lane_health", "probe_at")):
            town.sql.execute(
                f"UPDATE {table} SET {column} = {column} - interval '61 s' WHERE business_id = %s",
                (tenant.id,),
            )


def test_n03_a_pause_stops_new_sends_within_a_second(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """After the answer to a pause, begins stop within 1 s; the resume sends what waits."""
    sitting = sit("N03", messages=80)
    for _ in sitting.repeats():
        town.workers(2)
        tenant = town.tenant(per_minute=120)
        town.rules({"before_ms": [20, 60]})
        town.fill(tenant, 75)
        town.until(lambda: len(town.taken(tenant)) >= 14)
        answer = town.api("POST", f"/v1/businesses/{tenant.ref}/pause", json={"reason": "drill"})
        assert answer.status_code == 200, answer.text
        time.sleep(1.0)
        paused_at = len(town.taken(tenant))
        assert paused_at < 75, "there was nothing left to hold back"
        town.fill(tenant, 5, "later")
        time.sleep(3.0)
        assert len(town.taken(tenant)) == paused_at
        answer = town.api("POST", f"/v1/businesses/{tenant.ref}/resume")
        assert answer.status_code == 200, answer.text
        limits = {"per_minute": 60_000, "per_recipient_day": 1000, "per_day": 1000}
        answer = town.api("PUT", f"/v1/businesses/{tenant.ref}/limits", json=limits)
        assert answer.status_code == 200, answer.text
        town.rest(tenant)
        verdict = town.judge(tenant)
        sitting.passes(verdict)
        assert verdict.accepted == verdict.promised == 80
        gaps = [late - early for early, late in pairwise(one.at for one in town.taken(tenant))]
        assert max(gaps) > 3
