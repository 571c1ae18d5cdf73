"""Workers that sleep past their lease, and workers that are told to stop (exam A12, A13)."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_town import ExamTown
    from fixture_exam import Sitting


def test_a12_a_worker_that_slept_past_its_lease_changes_nothing(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Asleep after its claim or after its begin, it sends nothing once it wakes."""
    size = town.plan.size("A12")
    sitting = sit("A12", cell="claim, begin", **size)
    for _ in sitting.repeats():
        town.workers(0)
        tenants = []
        sleepers = []
        for step in ("after_claim:1:stop", "before_send:1:stop"):
            tenants.append(town.tenant(unconfirmed="resend", grace_seconds=1))
            town.book(tenants[-1], "b-1")
            sleepers.append(town.worker(step))
            town.stands(sleepers[-1])
        slept_at = time.monotonic()
        town.end_leases()
        town.workers(1)
        town.until(lambda: all(town.count(one, "status = 'read'") for one in tenants))
        time.sleep(max(0.0, slept_at + size["asleep"] - time.monotonic()))
        for sleeper in sleepers:
            town.go_on(sleeper)
        # Awake it takes its turn among the others; its old messages must not come with it.
        late = [town.book(one, "b-2") for one in tenants]
        assert all(late)
        town.rest(*tenants)
        verdict = town.judge(*tenants)
        for sleeper in sleepers:
            sleeper.kill()
        sitting.passes(verdict)
        assert verdict.accepted == verdict.promised == 4


def test_a12_what_a_sleeper_says_of_a_message_is_not_believed(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Its "try again" comes when somebody else has the message in flight: it is not written."""
    sitting = sit("A12", cell="record")
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant(unconfirmed="resend", grace_seconds=1)
        refused = {"act": "refuse", "status": 503, "code": 131016}
        town.rules(
            {"number": tenant.number, "acts": [{"act": "accept_hang"}], "hold": True},
            {"number": tenant.number, "acts": [refused], "times": 1},
        )
        town.book(tenant, "b-1")
        sleeper = town.worker("before_record:1:stop")
        town.stands(sleeper)
        assert [line["outcome"] for line in town.tried(tenant)] == ["refuse"]
        town.end_leases()
        town.workers(1)
        town.until(lambda: len(town.taken(tenant)) == 1)
        town.go_on(sleeper)
        town.until(
            lambda: (
                b"delivery.fenced" in sleeper.log.read_bytes()
                or bool(town.count(tenant, "phase = 'waiting'"))
            )
        )
        sleeper.kill()
        believed = town.count(tenant, "phase = 'waiting'")
        town.hurry(tenant)
        # Before the other's answer is given up: from then on it may be sent once more.
        town.ask("release")
        town.until(lambda: not town.count(tenant, "phase = 'in_flight'"))
        town.rest(tenant)
        sitting.passes(town.judge(tenant), stale_writes_believed=believed)
        assert believed == 0


def test_a13_told_to_stop_a_worker_finishes_what_it_began(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Workers are restarted in turn under load: nothing doubled, nothing in doubt."""
    size = town.plan.size("A13")
    sitting = sit("A13", **size)
    for _ in sitting.repeats():
        town.rules({"before_ms": [20, 80], "after_ms": [20, 80]})
        workers = town.workers(2)
        tenant = town.tenant(per_minute=2400)
        town.fill(tenant, size["messages"])
        slowest = 0.0
        for _ in range(size["restarts"]):
            for worker in workers:
                town.ready(worker)
            leaver = workers[0]
            leaver.popen.send_signal(signal.SIGTERM)
            asked_at = time.monotonic()
            leaver.popen.wait(30)
            slowest = max(slowest, time.monotonic() - asked_at)
            assert leaver.popen.returncode == 0, leaver.log.read_text()[-2000:]
            workers = town.workers(2)
        town.rest(tenant)
        verdict = town.judge(tenant)
        sitting.passes(verdict, slowest_stop=round(slowest, 2))
        assert verdict.unconfirmed == 0
        assert verdict.accepted == verdict.promised == size["messages"]
