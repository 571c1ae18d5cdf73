"""PostgreSQL and Redis go away and come back, and the bell is not heard (exam A10, A11)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import redis
from fixture_postgres import other_binaries

from core import embedded
from core.embedded_server import find_cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting

    from core.embedded import EmbeddedDatabase


BELT = (781_003, 2)
"""The lock of the duty that wakes sleeping lanes: who holds it keeps every worker from it."""


def under_load(town: ExamTown, tenant: Tenant, count: int, pace: float) -> list[int]:
    """Tell events one after the other, each until it is taken; returns the statuses seen."""
    seen: list[int] = []

    def tell(number: int) -> None:
        body = town.event(tenant, f"b-{number}")
        while True:
            with suppress(httpx.TransportError):
                answer = town.post(body)
                seen.append(answer.status_code)
                if answer.status_code in {200, 202}:
                    town.promise(tenant, answer)
                    return
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) > 0
            time.sleep(0.1)

    with ThreadPoolExecutor(4) as pool:
        waits = []
        for number in range(count):
            waits.append(pool.submit(tell, number))
            time.sleep(pace)
        for one in waits:
            one.result()
    return seen


def test_a10_postgresql_stops_at_once_under_load(
    town: ExamTown, postgres: EmbeddedDatabase, sit: Callable[..., Sitting]
) -> None:
    """It is killed and comes back: what was answered 2xx is there, workers go on by themselves."""
    size = town.plan.size("A10")
    sitting = sit("A10", **size)
    for _ in sitting.repeats():
        for away in size["outages"]:
            workers = town.workers(2)
            for worker in workers:
                town.ready(worker)
            tenant = town.tenant()
            town.rules({"before_ms": [5, 40], "after_ms": [5, 40]})
            seen: list[int] = []
            load = threading.Thread(
                target=lambda tenant=tenant, seen=seen: seen.extend(
                    under_load(town, tenant, size["messages"], 0.02)
                )
            )
            load.start()
            town.until(lambda tenant=tenant: len(town.taken(tenant)) > size["messages"] // 8)
            find_cluster(postgres.data_dir, other_binaries(), durable=False).stop(at_once=True)
            time.sleep(away)
            embedded.start(postgres.data_dir, durable=False, binaries=other_binaries())
            back_at = time.monotonic()
            load.join(120)
            town.until(lambda: reachable(town))
            town.until(lambda tenant=tenant: first_after(town, tenant, back_at) is not None)
            again = first_after(town, tenant, back_at)
            town.end_leases()
            town.rest(tenant)
            assert [one.popen.poll() for one in workers] == [None, None]
            verdict = town.judge(tenant)
            sitting.passes(verdict, back_seconds=round((again or 0) - back_at, 2))
            assert verdict.promised == size["messages"]
            assert verdict.accepted + verdict.unconfirmed >= size["messages"]


def reachable(town: ExamTown) -> bool:
    """Open the superuser's own connection again."""
    with suppress(psycopg.Error):
        town.sql.execute("SELECT 1")
        return True
    with suppress(psycopg.Error):
        town.sql.close()
    return False


def first_after(town: ExamTown, tenant: Tenant, moment: float) -> float | None:
    """Return when the provider first took a message after a moment."""
    return min((one.at for one in town.taken(tenant) if one.at > moment), default=None)


def test_a11_redis_killed_flushed_and_gone(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """Nothing that must stay is in Redis: flushed, killed, gone, everything arrives once."""
    size = town.plan.size("A11")
    sitting = sit("A11", **size)
    for _ in sitting.repeats():
        town.workers(2)
        tenant = town.tenant()
        share = size["messages"] // (size["flushes"] + 2)
        for number in range(size["flushes"]):
            town.fill(tenant, share, f"flush-{number}")
            flush(town)
        town.fill(tenant, share, "kill")
        town.redis.kill()
        town.fill(tenant, share, "gone")
        town.rest(tenant)
        gone = len(town.taken(tenant))
        town.redis.start()
        town.fill(tenant, share, "back")
        town.rest(tenant)
        verdict = town.judge(tenant)
        sitting.passes(verdict, without_redis=gone)
        assert gone == share * (size["flushes"] + 2)
        assert verdict.accepted == verdict.promised == gone + share


def test_a11_processes_start_while_redis_is_gone(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Web and worker start without Redis and deliver; they go on when it is back."""
    sitting = sit("A11", cell="start")
    for _ in sitting.repeats():
        town.workers(0)
        town.redis.kill()
        tenant = town.tenant()
        [door] = town.webs_at({1: ""})
        town.workers(1)
        answer = town.post(town.event(tenant, "b-1"), door)
        assert answer.status_code == 202, answer.text
        town.promise(tenant, answer)
        town.rest(tenant)
        town.redis.start()
        town.book(tenant, "b-2")
        town.rest(tenant)
        verdict = town.judge(tenant)
        sitting.passes(verdict)
        assert verdict.accepted == 2
        door.stop()
        assert door.popen.returncode == 0, door.log.read_text()[-2000:]
        town.doors.pop(1)


def flush(town: ExamTown) -> None:
    """Empty Redis."""
    with redis.Redis(port=town.redis.port) as connection:
        connection.flushall()


def hold_belt(town: ExamTown) -> Any:
    """Keep every worker from sweeping sleeping lanes, until the connection is closed."""
    connection = psycopg.connect(town.database.superuser_url)
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", BELT)
    return connection


def test_a11_a_message_is_woken_and_not_swept_up(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Without the belt every message is sent: the wake-up alone must find the sleeping lane."""
    sitting = sit("A11", cell="wake")
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant()
        town.book(tenant, "b-0")
        town.rest(tenant)
        belt = hold_belt(town)
        try:
            # Asleep with nothing to do; only the wake-up of the next intake can call it.
            [[asleep]] = town.sql.execute(
                "SELECT next_at = 'infinity' FROM lane WHERE business_id = %s", (tenant.id,)
            ).fetchall()
            assert asleep
            town.book(tenant, "b-1")
            town.until(lambda: len(town.taken(tenant)) == 2, 20)
        finally:
            belt.close()
        town.rest(tenant)
        sitting.passes(town.judge(tenant))


def test_a11_an_event_during_a_claim_does_not_fall_asleep(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """A claim stands still, an event is stored meanwhile: it is sent all the same."""
    sitting = sit("A11", cell="claim")
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant()
        town.book(tenant, "b-0")
        claiming = town.worker("before_claim_commit:1:stop")
        town.stands(claiming)
        belt = hold_belt(town)
        try:
            # Its lane is locked and already settled to sleep; the wake-up has to wait for it.
            town.book(tenant, "b-1")
            time.sleep(0.5)
            town.go_on(claiming)
            town.until(lambda: len(town.taken(tenant)) == 2, 20)
        finally:
            belt.close()
        town.rest(tenant)
        sitting.passes(town.judge(tenant))
        claiming.stop()
