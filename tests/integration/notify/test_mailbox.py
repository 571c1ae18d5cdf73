"""Providers' calls that come together: one commit, one answer each; and applied in sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from core.channels.messages import Status, StatusUpdate
from core.ids import NOTIFICATION, new_uuid, outward
from core.notify.inbox import apply_waiting
from core.notify.mailbox import Letter
from core.outbox.sealing import sealing_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from core.notify.services import Services


def letter(row_id: UUID | None = None) -> Letter:
    """Write a letter; its body is not looked at here."""
    return Letter(
        id=row_id or new_uuid(),
        channel="scripted",
        headers={"x-mark": "1"},
        body_sealed=b"sealed",
        received_at=datetime.now(UTC),
    )


async def test_calls_that_arrive_together_share_a_commit(
    services: Services, superuser: Any
) -> None:
    """Forty at once are forty rows of at most two transactions, all there when answered."""
    await asyncio.gather(*(services.mailbox.keep(letter()) for _ in range(40)))
    row = await superuser.fetchrow(
        "SELECT count(*) AS kept, count(DISTINCT xmin::text) AS commits, min(headers::text) AS "
        "headers FROM provider_inbox"
    )
    assert (row["kept"], row["headers"]) == (40, '{"x-mark": "1"}')
    assert row["commits"] <= 2


async def test_one_that_cannot_be_kept_costs_the_others_nothing(
    services: Services, superuser: Any
) -> None:
    """The bad one's caller hears of it; every other letter is kept, also the next one."""
    taken = new_uuid()
    await services.mailbox.keep(letter(taken))
    letters = [letter(), letter(taken), letter()]
    answers = await asyncio.gather(
        *(services.mailbox.keep(one) for one in letters), return_exceptions=True
    )
    assert [answers[0], answers[2]] == [None, None]
    assert isinstance(answers[1], asyncpg.UniqueViolationError)
    await services.mailbox.keep(letter())
    assert await superuser.fetchval("SELECT count(*) FROM provider_inbox") == 4


async def test_who_hangs_up_stops_nobody(services: Services, superuser: Any) -> None:
    """A caller that goes away while the commit is under way leaves the others their answers."""
    gone = asyncio.create_task(services.mailbox.keep(letter()))
    stays = asyncio.create_task(services.mailbox.keep(letter()))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await superuser.fetchval("SELECT count(*) FROM provider_inbox") == 2


async def test_a_thousand_statuses_of_one_call_are_applied_in_sets(
    services: Services,
    superuser: Any,
    open_salon: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every one counts, and the number of statements has nothing to do with theirs."""
    salon = await open_salon()
    customer = await salon.customer()
    ids = [new_uuid() for _ in range(1_000)]
    await superuser.execute(
        "INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type, "
        "template_name, status, phase, next_retry_at) SELECT t.id, $2, $3, 'scripted', "
        "'booking.confirmed', 'booking_confirmed', 'sent', 'final', NULL "
        "FROM unnest($1::uuid[]) AS t(id)",
        ids,
        salon.business.id,
        customer,
    )
    salon.sender.news = [
        StatusUpdate(
            account="account-salon-a",
            callback_id=outward(NOTIFICATION, one),
            dedupe=f"d-{one}",
            provider_message_id=f"p-{one}",
            status=Status.DELIVERED,
            occurred_at=datetime.now(UTC),
        )
        for one in ids
    ]
    row_id = new_uuid()
    sealed = services.vault.seal(b"{}", context=sealing_context("scripted", row_id))
    await services.mailbox.keep(
        Letter(
            id=row_id,
            channel="scripted",
            headers={},
            body_sealed=sealed,
            received_at=datetime.now(UTC),
        )
    )
    asked: list[str] = []
    for name in ("execute", "fetch", "fetchrow", "fetchval"):
        _count(monkeypatch, name, asked)
    assert await apply_waiting(salon.services, "scripted") == 1
    monkeypatch.undo()
    assert len(asked) <= 40
    row = await superuser.fetchrow(
        "SELECT count(*) AS moved, count(DISTINCT xmin::text) AS commits "
        "FROM notification_outbox WHERE status = 'delivered'"
    )
    assert (row["moved"], row["commits"]) == (1_000, 1)


def _count(monkeypatch: pytest.MonkeyPatch, name: str, asked: list[str]) -> None:
    """Note every statement that goes to the database."""
    original = getattr(asyncpg.Connection, name)

    async def noted(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        asked.append(query)
        return await original(self, query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, name, noted)
