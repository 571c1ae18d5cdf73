"""Workers that die at each step between the queue and the record (exam A01-A06).

All cells are played first, each on a tenant of its own, with no other worker alive; then two
workers clear up after all of them at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_tenants import Tenant
    from exam_town import ExamTown
    from fixture_exam import Sitting


HELD = {"acts": [{"act": "accept"}], "hold": True}
SLOWLY = {**HELD, "after_ms": [800, 800]}
"""It takes all of them over before it answers the first."""
SETTLES_SECONDS = 5.0


@dataclass
class Aftermath:
    """What the cells left behind once everybody had come to rest."""

    tenants: dict[str, list[Tenant]] = field(default_factory=dict)
    tokens_left: float = 0.0
    sent_at_death: int = 0
    unbegun: int = 0
    settled_in: float = 0.0
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def add(self, cell: str, tenant: Tenant) -> None:
        """Remember a cell's tenant."""
        self.tenants.setdefault(cell, []).append(tenant)


def play(town: ExamTown, cell: str, step: str, tenant: Tenant, count: int) -> None:
    """Queue messages, let a worker die at a step of theirs."""
    town.fill(tenant, count, cell)
    town.dies(town.worker(f"{step}"))


def play_all(town: ExamTown, after: Aftermath, messages: int, batch: int) -> None:
    """Play every cell once, then let two workers clear up."""
    town.workers(0)
    first = after.tenants.get("A01", [])
    capped = town.tenant(per_minute=120)
    after.add("A01", capped)
    play(town, f"a01-{len(first)}", "before_claim_commit:1", capped, messages)
    [[after.tokens_left]] = town.sql.execute(
        "SELECT tokens FROM lane WHERE business_id = %s", (capped.id,)
    ).fetchall()
    # What A01 left waiting must not be what the next cells' workers die of.
    town.sql.execute("UPDATE lane SET state = 'disabled' WHERE business_id = %s", (capped.id,))

    claimed = town.tenant()
    after.add("A02", claimed)
    play(town, "a02", "after_claim:1", claimed, messages)

    for policy in ("hold", "resend"):
        doubtful = town.tenant(unconfirmed=policy, grace_seconds=1)
        after.add(f"A03-{policy}", doubtful)
        play(town, "a03", "after_begin:1", doubtful, messages)

    # The provider takes the message over and says nothing; the worker dies waiting.
    accepted = town.tenant()
    after.add("A04", accepted)
    town.rules({"acts": [{"act": "accept_hang"}], "hold": True})
    town.fill(accepted, messages, "a04")
    waiting = town.worker()
    town.until(lambda: len(town.taken(accepted)) == messages)
    waiting.kill()

    for step in ("after_answer:1", "before_record_commit:1"):
        answered = town.tenant()
        after.add("A05", answered)
        town.rules(SLOWLY)
        play(town, "a05", step, answered, messages)

    halves = [town.tenant() for _ in range(4)]
    town.rules({**HELD, "after_ms": [5, 60]})
    for half in halves:
        after.add("A06", half)
        town.fill(half, batch // 4, "a06")
    town.dies(town.worker(f"after_answer:{batch // 3}"))
    after.sent_at_death = len(town.taken(*halves))
    after.unbegun = sum(town.count(one, "phase IN ('waiting', 'leased')") for one in halves)

    town.rules()
    town.sql.execute("UPDATE lane SET state = 'active' WHERE business_id = %s", (capped.id,))
    town.end_leases()
    town.workers(2)
    everybody = [one for tenants in after.tenants.values() for one in tenants]
    town.until(lambda: not any(town.count(one, "phase = 'in_flight'") for one in everybody))
    released_at = time.monotonic()
    town.ask("release")
    held = after.tenants["A04"][-1:] + after.tenants["A05"][-2:]
    town.until(lambda: all(town.count(one, "status = 'read'") == messages for one in held))
    after.settled_in = time.monotonic() - released_at
    # What the provider never took cannot be settled by its news: two policies, two ends.
    town.until(lambda: town.count(after.tenants["A03-resend"][-1], "status = 'read'") == messages)
    town.rest(*everybody)


@pytest.fixture(scope="module")
def aftermath(standing_town: ExamTown) -> Aftermath:
    """Play the crash matrix, as often as asked for."""
    standing_town.rules()
    after = Aftermath()
    for _ in range(standing_town.plan.repeat):
        play_all(standing_town, after, **standing_town.plan.size("A01-A06"))
    after.seconds = time.monotonic() - after.started
    return after


def look(town: ExamTown, after: Aftermath, cell: str, sit: Callable[..., Sitting]) -> Sitting:
    """Judge one cell."""
    sitting = sit(cell.partition("-")[0], cell=cell, **town.plan.size("A01-A06"))
    sitting.rounds = town.plan.repeat
    sitting.figures["matrix_seconds"] = round(after.seconds, 1)
    sitting.passes(town.judge(*after.tenants[cell]))
    return sitting


def test_a01_killed_before_the_claim_commits(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """The rollback frees the messages and gives the cap back: nothing lost, doubled or spent."""
    sitting = look(town, aftermath, "A01", sit)
    assert aftermath.tokens_left == 12.0
    assert sitting.verdict.accepted == sitting.verdict.promised > 0


def test_a02_killed_after_the_claim(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """Claimed and not begun is safe to send again: nothing lost, nothing doubled."""
    sitting = look(town, aftermath, "A02", sit)
    assert sitting.verdict.accepted == sitting.verdict.promised > 0


def test_a03_killed_between_begin_and_the_first_byte(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """Begun is in doubt: held and explained under `hold`, sent once more under `resend`."""
    held = look(town, aftermath, "A03-hold", sit)
    assert held.verdict.accepted + held.verdict.unconfirmed == held.verdict.promised
    assert held.verdict.unconfirmed > 0
    resent = look(town, aftermath, "A03-resend", sit)
    assert resent.verdict.accepted == resent.verdict.promised > 0


def test_a04_killed_while_the_answer_is_awaited(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """Taken over, answer never read: never sent again, settled by the provider's own news."""
    sitting = look(town, aftermath, "A04", sit)
    assert sitting.verdict.accepted == sitting.verdict.promised > 0
    assert sitting.verdict.unconfirmed == 0


def test_a05_killed_before_the_record_commits(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """Answer read and not recorded: never sent again, settled by the provider's own news."""
    sitting = look(town, aftermath, "A05", sit)
    sitting.figures["settled_seconds"] = round(aftermath.settled_in, 2)
    assert sitting.verdict.accepted == sitting.verdict.promised > 0
    assert sitting.verdict.unconfirmed == 0


def test_a06_killed_in_the_middle_of_a_batch(
    town: ExamTown, aftermath: Aftermath, sit: Callable[..., Sitting]
) -> None:
    """Some sent, some begun, the rest claimed: each ends once or says that it is in doubt."""
    sitting = look(town, aftermath, "A06", sit)
    assert aftermath.sent_at_death > 0
    sitting.figures |= {"sent_at_death": aftermath.sent_at_death, "unbegun": aftermath.unbegun}
    assert sitting.verdict.accepted + sitting.verdict.unconfirmed >= sitting.verdict.promised
