"""A no that was acknowledged is a no: nothing is sent after it (exam C01, C02, C03).

When a revocation was acknowledged is read off our own clock as its 200 arrives; what the provider
took is read off its journal. Both are the machine's monotonic clock.
"""

from __future__ import annotations

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from exam_proxy import CutProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


def revoke(town: ExamTown, consent_id: str) -> tuple[int, float]:
    """Take a consent back; returns the status of the answer and when it was here."""
    answer = town.client.post(
        f"{town.webs[0]}/v1/consents/{consent_id}/revoke",
        headers={"Authorization": f"Bearer {town.key}"},
        json={"source": "app"},
        timeout=40,
    )
    assert answer.status_code in {200, 202}, answer.text
    return answer.status_code, time.monotonic()


def recipient(tenant: Tenant, place: int = 0) -> str:
    """Return a customer's number as the provider's journal has it."""
    return tenant.phone(place).removeprefix("+")


def storm(
    town: ExamTown, tenant: Tenant, consents: list[str], size: dict[str, Any], draw: random.Random
) -> dict[str, float]:
    """Send to everybody while many take their consent back; returns when each was told yes."""
    acknowledged: dict[str, float] = {}
    places = draw.sample(range(size["customers"]), size["revocations"])

    def say_no(place: int) -> None:
        status, at = revoke(town, consents[place])
        while status != httpx.codes.OK:
            time.sleep(0.2)
            status, at = revoke(town, consents[place])
        acknowledged[recipient(tenant, place)] = at

    count = size["customers"] * size["messages"]
    with ThreadPoolExecutor(4) as senders, ThreadPoolExecutor(4) as deniers:
        told = [
            senders.submit(town.book, tenant, f"b-{n}", place=n % size["customers"])
            for n in range(count)
        ]
        for number, place in enumerate(places):
            enough = count * (number + 1) // (len(places) + 2)
            town.until(lambda enough=enough: sum(one.done() for one in told) >= enough, 600)
            deniers.submit(say_no, place)
        for one in told:
            one.result()
    assert len(acknowledged) == len(places)
    return acknowledged


@pytest.mark.parametrize("trouble", ["none", "kills and cuts"])
def test_c01_nothing_is_sent_after_the_acknowledged_no(
    trouble: str, town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """A storm of revocations under load, also with workers killed and their database cut off."""
    size = town.plan.size("C01")
    sitting = sit("C01", trouble=trouble, **size)
    proxy = CutProxy(psycopg.conninfo.conninfo_to_dict(town.database.database_url)["port"])
    try:
        for _ in sitting.repeats():
            draw = random.Random(town.plan.seed)  # noqa: S311 - repeatable on purpose
            town.rules({"before_ms": [0, 40], "after_ms": [0, 40]})
            own = str(town.sql.info.port)
            relayed = {
                "PATCHBAY_DATABASE_URL": town.database.database_url.replace(
                    f":{own}/", f":{proxy.port}/"
                )
            }
            town.workers(0 if trouble != "none" else 2)
            tenant = town.tenant(size["customers"])
            consents = [town.agree(tenant, place) for place in range(size["customers"])]
            with ThreadPoolExecutor(1) as aside:
                if trouble != "none":
                    cutting = aside.submit(cut_and_kill, town, tenant, proxy, relayed)
                acknowledged = storm(town, tenant, consents, size, draw)
                if trouble != "none":
                    cutting.result()
            town.end_leases()
            town.workers(2)
            town.rest(tenant)
            verdict = town.judge(tenant, revoked=acknowledged)
            sitting.passes(verdict, acknowledged=len(acknowledged), cuts=proxy.cuts)
            assert verdict.accepted > 0
            canceled = [row for row in town.rows(tenant).values() if row.status == "canceled"]
            assert {row.reason for row in canceled} <= {"consent-revoked"}
    finally:
        proxy.close()


def cut_and_kill(town: ExamTown, tenant: Tenant, proxy: CutProxy, relayed: dict[str, str]) -> None:
    """Cut the workers' connections, then kill one worker after the other in the middle of work."""
    workers = [town.worker(**relayed), town.worker(**relayed)]
    town.until(lambda: len(town.taken(tenant)) > 0)
    proxy.cut_all()
    proxy.cuts += 1
    seen = len(town.taken(tenant))
    with suppress(AssertionError):
        town.until(lambda: len(town.taken(tenant)) > seen, 5)
    for worker in workers:
        worker.kill()
    # A no is acknowledged only when the leases of the dead have ended.
    town.end_leases()
    town.workers(1)


STEPS = {
    "queue and claim": "before_claim_commit:1:stop",
    "claim and begin": "after_claim:1:stop",
    "begin and bytes": "before_send:1:stop",
    "bytes and answer": "",
    "answer and record": "before_record:1:stop",
}


def test_c02_a_no_between_any_two_steps(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """Wherever the message is: after the no commits none begins, after its yes none is sent."""
    sitting = sit("C02", steps=len(STEPS) + 1)
    for _ in sitting.repeats():
        town.workers(0)
        tenants = []
        acknowledged: dict[str, float] = {}
        with ThreadPoolExecutor(len(STEPS)) as pool:
            answers = {}
            stopped = []
            for step in STEPS.values():
                tenant = town.tenant()
                tenants.append(tenant)
                if not step:
                    rule = {"number": tenant.number, "before_ms": [0, 0], "after_ms": [2500, 2500]}
                    town.rules(rule)
                town.book(tenant, "b-1")
                consent = town.agree(tenant)
                worker = town.worker(step) if step else town.worker()
                stopped.append(worker)
                if step:
                    town.stands(worker)
                else:
                    town.until(lambda tenant=tenant: len(town.taken(tenant)) == 1)
                answers[tenant] = pool.submit(revoke, town, consent)
                time.sleep(0.4)
                # Whoever stands still may hold what the no needs: it must wait, not fail.
                if step:
                    town.go_on(worker)
                status, at = answers[tenant].result()
                assert status == httpx.codes.OK
                acknowledged[recipient(tenant)] = at
                worker.stop()
        town.rest(*tenants)
        town.workers(1)
        after = {place: town.rows(one) for place, one in zip(STEPS, tenants, strict=True)}
        states = {place: next(iter(rows.values())) for place, rows in after.items()}
        for place in ("queue and claim", "claim and begin"):
            assert (states[place].status, states[place].reason) == ("canceled", "consent-revoked")
        for place in ("begin and bytes", "bytes and answer", "answer and record"):
            assert states[place].status in {"sent", "delivered", "read"}, place
        sitting.passes(town.judge(*tenants, revoked=acknowledged))


def test_c02_an_intake_that_saw_a_yes_and_commits_late(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Intake saw a yes and stands still: the no waits for it, and cancels what it left."""
    sitting = sit("C02", cell="intake")
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant()
        consent = town.agree(tenant)
        [door] = town.webs_at({1: "intake_queued:1:stop"})
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(town.post, town.event(tenant, "b-1"), door)
            town.stands(door)
            answered = pool.submit(revoke, town, consent)
            time.sleep(0.4)
            town.go_on(door)
            assert told.result().status_code == 202
            status, at = answered.result()
        assert status == httpx.codes.OK
        town.promise(tenant, told.result())
        town.workers(1)
        town.rest(tenant)
        sitting.passes(town.judge(tenant, revoked={recipient(tenant): at}))
        assert not town.taken(tenant)
        assert [row.reason for row in town.rows(tenant).values()] == ["consent-revoked"]
        town.doors.pop(1).stop()


def test_c02_a_retry_after_the_no_is_not_begun(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """In flight at the no and refused for now: its retry meets the last look and ends there."""
    sitting = sit("C02", cell="retry")
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant()
        consent = town.agree(tenant)
        refused = {"act": "refuse", "status": 503, "code": 131016}
        town.rules({"number": tenant.number, "acts": [refused], "after_ms": [1500, 1500],
                    "times": 1})  # fmt: skip
        town.book(tenant, "b-1")
        town.until(lambda: len(town.tried(tenant)) == 1)
        status, at = revoke(town, consent)
        assert status == httpx.codes.OK
        town.until(lambda: not town.count(tenant, "phase = 'in_flight'"))
        town.hurry(tenant)
        town.rest(tenant, seconds=200)
        sitting.passes(town.judge(tenant, revoked={recipient(tenant): at}))
        assert not town.taken(tenant)
        assert [row.reason for row in town.rows(tenant).values()] == ["consent-revoked"]


def test_c03_a_no_while_the_provider_hangs(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """New sends are refused at once; what is on its way is waited for."""
    size = town.plan.size("C03")
    sitting = sit("C03", **size)
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant(size["revocations"] + 1)
        hanging = town.agree(tenant, 0)
        town.rules(
            {"number": tenant.number, "acts": [{"act": "accept_hang"}], "hold": True, "times": 1}
        )
        town.book(tenant, "b-1")
        town.until(lambda: len(town.taken(tenant)) == 1)
        with ThreadPoolExecutor(1) as pool:
            asked_at = time.monotonic()
            answer = pool.submit(revoke, town, hanging)
            # The no holds at once, long before its answer.
            town.until(
                lambda: (
                    town.post(town.event(tenant, f"n-{time.monotonic_ns()}")).json()["decisions"][
                        0
                    ]["outcome"]
                    == "suppressed"
                ),
                5,
            )
            # Others are not kept waiting by it.
            waits = []
            for place in range(1, size["revocations"] + 1):
                consent = town.agree(tenant, place)
                before = time.monotonic()
                assert revoke(town, consent)[0] == httpx.codes.OK
                waits.append(time.monotonic() - before)
            status, at = answer.result()
        waited = at - asked_at
        # The send gives up after ten seconds; drained in time it is a 200, else a 202.
        assert waited > 1
        assert status in {httpx.codes.OK, httpx.codes.ACCEPTED}
        town.ask("release")
        town.rest(tenant)
        while status != httpx.codes.OK:
            status, at = revoke(town, hanging)
        verdict = town.judge(tenant, revoked={recipient(tenant): at})
        sitting.passes(
            verdict,
            hanging_seconds=round(waited, 2),
            p50_ms=round(statistics.median(waits) * 1000),
            slowest_ms=round(max(waits) * 1000),
        )
        assert verdict.accepted == 1
