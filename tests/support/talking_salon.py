"""A salon whose customers write back, for tests of consent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from engine_steps import TOMORROW, send_all, store_call
from fixture_scripted import CHANNEL

from core.channels.messages import InboundMessage
from core.consent import ledger
from core.customers.store import CustomerIn, put_customers
from core.notify.inbox import apply_waiting
from core.notify.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from fixture_scripted import Salon

PHONE = "+393331234567"


@dataclass
class Talk:
    """A salon, its customers, and what they say."""

    salon: Salon
    superuser: Any
    number: Iterator[int] = field(default_factory=lambda: count(1))

    async def person(
        self, ref: str = "cus-1", *phones: str, purposes: tuple[str, ...] = ("transactional",)
    ) -> UUID:
        """Store a customer with these numbers, the last one primary, and what they agreed to."""
        salon = self.salon
        async with salon.services.database.business(salon.business.id) as transaction:
            for phone in phones or (PHONE,):
                told = CustomerIn(ref=ref, first_name="Giulia", phone=phone, locale="it")
                [stored] = await put_customers(
                    transaction, salon.services.vault, salon.business.id, [told]
                )
            for purpose in purposes:
                await self.agree(transaction, stored.id, purpose=purpose)
        return stored.id

    async def agree(self, transaction: Any, customer: UUID, **changes: Any) -> ledger.ConsentState:
        """Record a yes of an hour ago, or one that differs."""
        told: dict[str, Any] = {
            "channel": CHANNEL,
            "purpose": "transactional",
            "source": "web",
            "granted_at": datetime.now(UTC) - timedelta(hours=1),
            "text_version": "it-v1",
            "locale": "it",
            "proof_reference": "form/41",
        }
        given = ledger.Grant(customer_id=customer, **(told | changes))
        return await ledger.grant(
            transaction,
            self.salon.business.id,
            given,
            actor="test",
            now=datetime.now(UTC),
        )

    async def book(self, customer: str = "cus-1") -> str:
        """Report a booking and return what was decided, `queued` or the reason of a no."""
        place = next(self.number)
        event = self.salon.event(
            f"e-{place}", starts_at=TOMORROW, customer=customer, booking=f"B-{place}"
        )
        [answer] = await take_in(self.salon.services, self.salon.business, [event])
        decision = answer.decisions[0]
        return decision.reason or decision.outcome

    async def hear(self, *said: str, sender: str = PHONE, **more: Any) -> None:
        """Let the provider tell that somebody wrote this."""
        self.salon.sender.news = tuple(self.message(text, sender=sender, **more) for text in said)
        await store_call(self.salon.services, CHANNEL)
        await apply_waiting(self.salon.services, CHANNEL)

    def message(self, text: str, *, sender: str = PHONE, **more: Any) -> InboundMessage:
        """Build one message."""
        place = next(self.number)
        told: dict[str, Any] = {
            "account": f"account-{self.salon.business.ref}",
            "dedupe": f"in-{place}",
            "provider_message_id": f"in-{place}",
            "message_type": "text",
            "occurred_at": datetime.now(UTC),
        }
        return InboundMessage(sender=sender, text=text, **(told | more))

    async def send(self) -> int:
        """Send what is due."""
        return await send_all(self.salon.services)

    async def holds(self) -> list[tuple[str, str, bool]]:
        """Return who agrees to what."""
        rows = await self.superuser.fetch(
            "SELECT p.ref, c.purpose, c.opt_in FROM customer_consents c "
            "JOIN customer p ON p.id = c.customer_id ORDER BY p.ref, c.purpose"
        )
        return [tuple(row) for row in rows]

    async def outbox(self) -> list[tuple[str, str, str]]:
        """Return kind, status and reason of every message."""
        rows = await self.superuser.fetch(
            "SELECT kind, status, reason FROM notification_outbox ORDER BY id"
        )
        return [tuple(row) for row in rows]

    async def unequal(self) -> list[Any]:
        """Return where ledger and state differ."""
        rows: list[Any] = await self.superuser.fetch(
            "SELECT * FROM consent_differences((SELECT array_agg(id) FROM business))"
        )
        return rows
