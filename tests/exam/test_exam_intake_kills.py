"""Web processes that die at each step of taking something in (exam A07, A08, A09)."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


INTAKE = (
    "intake_started",
    "intake_stored",
    "intake_queued",
    "intake_before_commit",
    "intake_committed",
    "mid_answer",
)
HOOK = ("hook_started", "hook_verified", "hook_stored", "hook_committed", "mid_answer")
APPLYING = ("inbox_before_commit", "inbox_applied")


def test_a07_web_killed_at_six_points_of_intake(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Whatever the step, the caller's retry gets the one answer, and there is one message."""
    size = town.plan.size("A07")
    sitting = sit("A07", points=len(INTAKE), **size)
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant()
        for number in range(size["events"]):
            steps = {place: f"{step}:1" for place, step in enumerate(INTAKE, start=1)}
            doors = town.webs_at(steps)
            for place, door in enumerate(doors):
                told = town.event(tenant, f"b-{number}-{place}")
                with suppress(httpx.TransportError):
                    answer = town.post(told, door)
                    raise AssertionError(f"{INTAKE[place]} answered {answer.status_code}")
                town.dies(door)
                first, second = town.post(told), town.post(told)
                assert first.status_code in {200, 202}, first.text
                assert second.status_code == 200
                assert first.json()["decisions"] == second.json()["decisions"]
                [queued] = town.promise(tenant, first)
                assert queued
        bookings = size["events"] * len(INTAKE)
        assert town.count(tenant, "true") == bookings
        town.workers(1)
        town.rest(tenant)
        verdict = town.judge(tenant)
        sitting.passes(verdict)
        assert verdict.accepted == verdict.promised == bookings


def test_a08_killed_while_the_providers_news_is_taken_in(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """The provider tells again until it hears 200: no news is lost, each is applied once."""
    size = town.plan.size("A08")
    sitting = sit("A08", points=len(HOOK) + len(APPLYING), **size)
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant()
        town.rules({"number": tenant.number, "hold": True, "news": [[0, "sent"], [0, "read"]]})
        town.fill(tenant, size["messages"])
        town.until(lambda: town.count(tenant, "status = 'sent'") == size["messages"])
        town.workers(0)
        steps = {place: f"{step}:1" for place, step in enumerate(HOOK, start=1)}
        doors = town.webs_at(steps)
        # Each call of the provider meets a web that dies, until it comes to the one that lives.
        town.ask("hooks", [f"{door.url}/hooks/whatsapp" for door in (*doors, town.doors[0])])
        town.ask("release")
        for door in doors:
            town.dies(door)
        for step in APPLYING:
            town.dies(town.worker(f"{step}:1"))
            # News that was applied is not there for the next step to die of.
            if step == APPLYING[0]:
                assert not town.count(tenant, "status = 'read'")
        town.workers(1)
        town.until(lambda: town.count(tenant, "status = 'read'") == size["messages"])
        town.ask("hooks", [f"{town.doors[0].url}/hooks/whatsapp"])
        town.rest(tenant)
        [[steps_seen, most]] = town.sql.execute(
            "SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM status_update "
            "WHERE business_id = %s GROUP BY notification_id, status) s",
            (tenant.id,),
        ).fetchall()
        sitting.passes(town.judge(tenant), applied_at_most=most)
        assert (steps_seen, most) == (2 * size["messages"], 1)


def test_a09_processes_killed_while_bookings_are_planned(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Webs and the workers with the timetable die by turns: each notice is planned once."""
    size = town.plan.size("A09")
    sitting = sit("A09", **size)
    for _ in sitting.repeats():
        draw = random.Random(town.plan.seed)  # noqa: S311 - repeatable on purpose
        town.workers(2)
        town.web(1)
        tenant = town.tenant(reminders=True)
        doors = (0, 1)

        def plan(number: int, tenant: Tenant = tenant) -> None:
            body = town.event(tenant, f"b-{number}")
            for attempt in range(400):
                door = town.doors[doors[(number + attempt) % 2]]
                with suppress(httpx.TransportError):
                    answer = town.post(body, door)
                    if answer.status_code in {200, 202}:
                        town.promise(tenant, answer)
                        return
                time.sleep(0.2)
            raise AssertionError(f"booking {number} was never taken")

        with ThreadPoolExecutor(8) as pool:
            told = [pool.submit(plan, number) for number in range(size["bookings"])]
            for number in range(size["kills"]):
                enough = size["bookings"] * (number + 1) // (size["kills"] + 1)
                town.until(lambda enough=enough: sum(one.done() for one in told) >= enough, 600)
                town.crew[draw.randrange(2)].kill()
                town.doors[1].kill()
                town.workers(2)
                town.web(1)
            for one in told:
                one.result()
        planned = town.sql.execute(
            "SELECT booking_ref, rule_key, count(*) FROM notification_outbox "
            "WHERE business_id = %s GROUP BY 1, 2",
            (tenant.id,),
        ).fetchall()
        notices = {row[1] for row in planned}
        sitting.figures["notices"] = len(planned)
        assert len(notices) == 3
        assert len(planned) == 3 * size["bookings"]
        assert {row[2] for row in planned} == {1}
        town.end_leases()
        town.rest(tenant)
        sitting.passes(town.judge(tenant))
        town.doors.pop(1).stop()
