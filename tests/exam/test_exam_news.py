"""News: in any order, again, in bulk, damaged, and of others (exam D01, D03-D06)."""

from __future__ import annotations

import random
import time
from itertools import permutations
from typing import TYPE_CHECKING, Any

import httpx
from exam_webhooks import signature, status_entry, statuses_body
from fixture_town import APP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


STATUSES = ("sent", "delivered", "read", "failed")
RANK = {"sent": 1, "failed": 2, "delivered": 3, "read": 4}
Told = dict[str, Any]


def post(town: ExamTown, body: bytes) -> float:
    """Tell news as the provider does; returns how long the answer took."""
    began = time.monotonic()
    headers = signature(APP["APP_SECRET"], body)
    answer = town.client.post(f"{town.webs[0]}/hooks/whatsapp", content=body, headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text
    return time.monotonic() - began


def applied(town: ExamTown) -> None:
    """Wait until the inbox is empty."""
    waiting = "SELECT count(*) FROM provider_inbox WHERE state = 'waiting'"
    town.until(lambda: town.sql.execute(waiting).fetchone() == (0,))


def taken_over(town: ExamTown, tenant: Tenant, count: int) -> list[tuple[str, str]]:
    """Send so many messages of which the provider tells nothing; returns callbacks and wamids."""
    town.rules({"number": tenant.number, "news": []})
    town.workers(1)
    town.fill(tenant, count)
    town.until(lambda: town.count(tenant, "status = 'sent' AND phase = 'final'") == count)
    return [(line["callback"], line["wamid"]) for line in town.tried(tenant)]


def updates(town: ExamTown, tenant: Tenant) -> int:
    """Count the status updates that had an effect."""
    [[counted]] = town.sql.execute(
        "SELECT count(*) FROM status_update WHERE business_id = %s", (tenant.id,)
    ).fetchall()
    return int(counted)


def kinds(town: ExamTown, kind: str) -> int:
    """Return how often news of a kind was seen."""
    row = town.sql.execute("SELECT seen FROM inbox_counter WHERE kind = %s", (kind,)).fetchone()
    return row[0] if row else 0


def orders() -> list[tuple[str, ...]]:
    """Return every order of every set of statuses."""
    return [order for n in range(1, 5) for order in permutations(STATUSES, n)]


def test_d01_every_order_of_statuses_ends_the_same(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """All orders, each three times over: the highest rank, the earliest times."""
    cases = orders()
    sitting = sit("D01", orders=len(cases), copies=3)
    for _ in sitting.repeats():
        tenant = town.tenant()
        messages = taken_over(town, tenant, len(cases))
        told = dict(zip(messages, cases, strict=True))
        began = int(time.time()) - 1000
        bodies: list[bytes] = []
        for step in range(4):
            entries = [
                # The later copy tells a later time of the same kind; the earliest counts.
                status_entry(wamid, order[step], "39", callback, began + 10 * step + copy // 2)
                for (callback, wamid), order in told.items()
                if len(order) > step
                for copy in range(3)
            ]
            random.Random(town.plan.seed + step).shuffle(entries)  # noqa: S311 - repeatable
            bodies.append(statuses_body(tenant.number, entries))
            post(town, bodies[-1])
            applied(town)
        before = updates(town, tenant)
        for body in reversed(bodies):
            post(town, body)
        applied(town)
        assert updates(town, tenant) == before
        rows = town.sql.execute(
            "SELECT provider_message_id, status, "
            "extract(epoch FROM delivered_at), extract(epoch FROM read_at), failed_at IS NOT NULL "
            "FROM notification_outbox WHERE business_id = %s",
            (tenant.id,),
        ).fetchall()
        found = {row[0]: row[1:] for row in rows}
        for (_, wamid), order in told.items():
            status, delivered, read, failed = found[wamid]
            assert status == max(order, key=lambda name: RANK[name]), order
            # Read without "delivered" was delivered at that moment at the latest.
            reached = [order.index(name) for name in ("delivered", "read") if name in order]
            assert delivered == (began + 10 * min(reached) if reached else None), order
            assert read == (began + 10 * order.index("read") if "read" in order else None), order
            assert failed == ("failed" in order), order
        sitting.passes(town.judge(tenant))


def test_d03_a_replayed_webhook_has_no_second_effect(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """The same body at once, an hour and eight days later: answered 200, applied once."""
    sitting = sit("D03", replays=3)
    for _ in sitting.repeats():
        tenant = town.tenant()
        [(callback, wamid)] = taken_over(town, tenant, 1)
        body = statuses_body(tenant.number, [status_entry(wamid, "delivered", "39", callback)])
        post(town, body)
        applied(town)
        after_one = updates(town, tenant)
        for age in ("1 second", "1 hour", "8 days"):
            town.sql.execute(f"UPDATE inbox_dedupe SET seen_at = seen_at - interval '{age}'")
            post(town, body)
            applied(town)
        assert updates(town, tenant) == after_one
        sitting.passes(town.judge(tenant))


def test_d04_thousands_of_updates_in_one_call(town: ExamTown, sit: Callable[..., Sitting]) -> None:
    """One call of up to three megabytes: stored, answered, applied, none lost."""
    size = town.plan.size("D04")
    sitting = sit("D04", **size)
    for _ in sitting.repeats():
        tenant = town.tenant()
        count = size["updates"] // 4
        messages = taken_over(town, tenant, count)
        body = statuses_body(tenant.number, four_each(messages))
        answered = post(town, body)
        began = time.monotonic()
        town.until(lambda: town.count(tenant, "status = 'read'") == count)
        applied(town)
        sitting.passes(
            town.judge(tenant),
            bytes=len(body),
            answered_seconds=round(answered, 3),
            applied_seconds=round(time.monotonic() - began, 2),
        )
        assert updates(town, tenant) >= size["updates"]


def four_each(messages: Sequence[tuple[str, str]]) -> list[Told]:
    """Return four updates of each message."""
    began = int(time.time()) - 100
    return [
        status_entry(wamid, status, "39", callback, began + place)
        for place, status in enumerate(("sent", "delivered", "delivered", "read"))
        for callback, wamid in messages
    ]


def test_d05_one_bad_item_costs_the_others_nothing(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """A damaged item among many: the others are applied, it is counted by name."""
    size = town.plan.size("D04")
    sitting = sit("D05", **size)
    for _ in sitting.repeats():
        tenant = town.tenant()
        count = size["updates"] // 4
        messages = taken_over(town, tenant, count)
        entries: list[Any] = four_each(messages)
        draw = random.Random(town.plan.seed)  # noqa: S311 - repeatable on purpose
        bad = {"id": 7, "status": ["sent"], "timestamp": f"soon {draw.random()}"}
        entries.insert(draw.randrange(len(entries)), bad)
        before = kinds(town, "unknown:malformed")
        post(town, statuses_body(tenant.number, entries))
        town.until(lambda: town.count(tenant, "status = 'read'") == count)
        applied(town)
        assert kinds(town, "unknown:malformed") == before + 1
        sitting.passes(town.judge(tenant))


def test_d06_news_for_another_tenants_message_changes_nothing(
    town: ExamTown, sit: Callable[..., Sitting]
) -> None:
    """A status told under another number, or one nobody has, reaches no message of ours."""
    sitting = sit("D06", forged=4)
    for _ in sitting.repeats():
        victim, other = town.tenant(), town.tenant()
        [(callback, wamid)] = taken_over(town, victim, 1)
        for number in (other.number, "999999999"):
            for entry in (
                status_entry(wamid, "failed", "39", callback),
                status_entry(f"{wamid}x", "read", "39", callback),
            ):
                post(town, statuses_body(number, [entry]))
        applied(town)
        assert [row.status for row in town.rows(victim).values()] == ["sent"]
        assert updates(town, victim) == updates(town, other) == 0
        body = statuses_body(victim.number, [status_entry(wamid, "read", "39", callback)])
        post(town, body)
        applied(town)
        assert [row.status for row in town.rows(victim).values()] == ["read"]
        sitting.passes(town.judge(victim, other))
