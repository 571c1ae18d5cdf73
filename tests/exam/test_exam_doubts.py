"""Sends whose outcome is in doubt, and news that comes early, late or never (exam B01-B05)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from exam_proxy import CutProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


SAFE = ("temporary-failure", "throttled")


@pytest.fixture
def cut(town: ExamTown) -> Iterator[CutProxy]:
    """Put a relay between the workers and the provider."""
    proxy = CutProxy(int(town.simulator.rpartition(":")[2]))
    yield proxy
    proxy.close()


def reasons(town: ExamTown, tenant: Tenant) -> dict[str, int]:
    """Count what the rows say of themselves."""
    found: dict[str, int] = {}
    for row in town.rows(tenant).values():
        key = row.reason or row.status
        found[key] = found.get(key, 0) + 1
    return found


def test_b01_answers_swallowed_and_the_news_comes_later(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Taken over without an answer: never sent again, and settled by the news when it comes."""
    size = town.plan.size("B01")
    sitting = sit("B01", **size)
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant()
        late = size["late_ms"]
        news = [[late // 2, "sent"], [late, "delivered"]]
        kinds = [{"act": "accept_reset"}, {"act": "accept_garbage"}]
        if town.plan.full:
            kinds.append({"act": "accept_hang"})
        town.rules({"number": tenant.number, "acts": kinds, "news": news})
        town.fill(tenant, size["messages"])
        town.until(lambda: town.count(tenant, "status = 'delivered'") == size["messages"], 400)
        verdict = town.judge(tenant)
        sitting.passes(verdict)
        assert verdict.accepted == verdict.promised == size["messages"]


def test_b02_the_news_never_comes(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """It is held, seen as unconfirmed with an alert, not sent again, and settled by one call."""
    sitting = sit("B02", messages=2)
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant(grace_seconds=1)
        act = {"act": "accept_reset"}
        town.rules({"number": tenant.number, "acts": [act], "news": []})
        sent, lost = town.book(tenant, "b-1")[0], town.book(tenant, "b-2")[0]
        town.until(lambda: town.count(tenant, "phase = 'unconfirmed'") == 2)
        [[raised]] = town.sql.execute(
            "SELECT count(*) FROM alert WHERE business_id = %s AND kind = 'unconfirmed-messages'",
            (tenant.id,),
        ).fetchall()
        assert raised == 1
        time.sleep(4)  # twice the sweep, four times the grace: nothing may move
        assert town.count(tenant, "phase = 'unconfirmed'") == 2
        shown = town.api("GET", f"/v1/notifications/{sent}").json()
        assert shown["explanation"]["code"] == "unconfirmed"
        for one, outcome in ((sent, "sent"), (lost, "failed")):
            answer = town.api(
                "POST",
                f"/v1/notifications/{one}/settle",
                headers={"Idempotency-Key": one},
                json={"outcome": outcome},
            )
            assert answer.status_code == 200, answer.text
        town.rest(tenant)
        sitting.passes(town.judge(tenant))
        assert {row.status for row in town.rows(tenant).values()} == {"sent", "failed"}
        assert len(town.taken(tenant)) == 2


def test_b03_requests_that_never_arrive_are_tried_again(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """Nobody listens: that is safe to repeat, every time, and everything arrives once."""
    size = town.plan.size("B03")
    sitting = sit("B03", **size)
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant()
        town.fill(tenant, size["messages"])
        closed = CutProxy(1)
        nowhere = closed.port
        closed.close()
        graph = {"PATCHBAY_WHATSAPP_GRAPH_URL": f"http://127.0.0.1:{nowhere}"}
        worker = town.worker(**graph)
        town.until(lambda: reasons(town, tenant) == {"temporary-failure": size["messages"]})
        worker.stop()
        assert not town.taken(tenant)
        town.workers(1)
        town.hurry(tenant)
        town.rest(tenant, seconds=400)
        verdict = town.judge(tenant)
        sitting.passes(verdict)
        assert verdict.accepted == verdict.promised == size["messages"]


def test_b04_connections_cut_anywhere_hide_what_happened(
    town: ExamTown, cut: CutProxy, sit: Callable[..., Sitting]
) -> None:
    """Cut before, in and after the request: what may have arrived is never called safe."""
    size = town.plan.size("B04")
    sitting = sit("B04", **size)
    for _ in sitting.repeats():
        town.workers(0)
        tenant = town.tenant()
        acts = [
            {"act": "accept", "weight": 2},
            {"act": "accept_reset", "weight": 2},
            {"act": "accept_garbage"},
            {"act": "reset", "weight": 2},
        ]
        town.rules({"number": tenant.number, "acts": acts, "news": [[1500, "sent"]]})
        half = size["messages"] // 2
        town.fill(tenant, half)
        graph = {"PATCHBAY_WHATSAPP_GRAPH_URL": f"http://127.0.0.1:{cut.port}"}
        worker = town.worker(**graph)
        town.until(lambda: not town.count(tenant, "phase IN ('waiting', 'leased', 'in_flight')"))
        cut.cut_after = 300  # within the request's head
        town.fill(tenant, half, "c")
        town.until(lambda: not town.count(tenant, "phase IN ('waiting', 'leased', 'in_flight')"))
        cut.cut_after = None
        worker.stop()
        town.rest(tenant)
        verdict = town.judge(tenant)
        assert cut.cuts > 0
        sitting.passes(verdict, cut_in_the_request=cut.cuts)
        # Whatever was accepted is settled by news, whatever was not stays in doubt and says so.
        assert verdict.accepted + verdict.unconfirmed == size["messages"]


def test_b05_news_that_comes_before_our_own_record(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """A quick provider's news finds the message by our id; our record takes nothing back."""
    size = town.plan.size("B05")
    sitting = sit("B05", **size)
    for _ in sitting.repeats():
        town.workers(1)
        tenant = town.tenant()
        news = [[0, "sent"], [0, "delivered"], [0, "read"]]
        # The answer is slower than all three pieces of news.
        town.rules({"number": tenant.number, "after_ms": [800, 1200], "news": news})
        town.fill(tenant, size["messages"])
        early = 0

        def all_read() -> bool:
            nonlocal early
            early = max(early, town.count(tenant, "status = 'read' AND phase = 'in_flight'"))
            return town.count(tenant, "status = 'read' AND phase = 'final'") == size["messages"]

        town.until(all_read)
        town.rest(tenant)
        [[parked]] = town.sql.execute(
            "SELECT count(*) FROM parked_status WHERE account_ref = %s", (tenant.number,)
        ).fetchall()
        verdict = town.judge(tenant)
        sitting.passes(verdict, read_while_in_flight=early)
        assert early > 0
        assert parked == 0
        assert verdict.accepted == verdict.promised == size["messages"]
