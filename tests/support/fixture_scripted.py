"""A business on a scripted channel: what an engine test needs to send something."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from core.catalogue.store import Catalogue
from core.channels.host import Connection, Template
from core.channels.messages import ConnectionState, Receipt
from core.channels.plugin import ChannelPlugin
from core.consent import ledger
from core.customers.store import CustomerIn, put_customers
from core.notify.connections import lane_follows
from core.notify.events import Booking, EventCustomer, NotificationEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.channel import Channel
    from core.channels.host import Host, Transaction
    from core.channels.messages import ChannelEvent, OutboundMessage, ProviderEvent
    from core.errors import SendError
    from core.notify.services import Services

CHANNEL = "scripted"


@dataclass
class ScriptedSender:
    """Accepts every message, except where the next answer in line says otherwise."""

    answers: list[SendError | None] = field(default_factory=list)
    sent: list[OutboundMessage] = field(default_factory=list)
    states: list[tuple[UUID, ConnectionState]] = field(default_factory=list)
    news: Sequence[ProviderEvent] = ()
    applied: list[ChannelEvent] = field(default_factory=list)

    async def send(self, message: OutboundMessage) -> Receipt:
        """Take a message over, or raise what the script says."""
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.sent.append(message)
        return Receipt(provider_message_id=f"provider-{len(self.sent)}-{message.callback_id}")

    async def set_state(
        self, transaction: Transaction, business_id: UUID, state: ConnectionState, reason: str
    ) -> None:
        """Remember what the host found out."""
        del transaction, reason
        self.states.append((business_id, state))

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Remember the news."""
        del transaction
        self.applied += events

    def parse(self, request: object) -> Sequence[ProviderEvent]:
        """Tell the news that the test put in."""
        del request
        return self.news


class ScriptedPlugin(ChannelPlugin):
    """Adds nothing but its name."""

    name = CHANNEL
    title = "Scripted"
    settles_by_callback = True

    def channel(self, host: Host) -> Channel:
        """Never called: tests put their sender in by hand."""
        raise AssertionError(host)


@dataclass
class Salon:
    """A connected business, its channel, and a way to make customers and events."""

    services: Services
    business: BusinessRow
    sender: ScriptedSender

    async def customer(self, ref: str = "cus-1", *, consent: bool = True) -> UUID:
        """Store a customer with a phone, and their consent."""
        async with self.services.database.business(self.business.id) as transaction:
            stored = await put_customers(
                transaction,
                self.services.vault,
                self.business.id,
                [CustomerIn(ref=ref, first_name="Giulia", phone="+393331234567", locale="it")],
            )
            if consent:
                await ledger.grant(
                    transaction,
                    self.business.id,
                    ledger.Grant(
                        customer_id=stored[0].id,
                        channel=CHANNEL,
                        purpose="transactional",
                        source="web",
                        granted_at=self.services.clock.now(),
                        text_version="en-v1",
                        locale="en",
                    ),
                    actor="test",
                    now=self.services.clock.now(),
                )
        return stored[0].id

    def event(
        self,
        event_id: str = "e-1",
        *,
        starts_at: datetime,
        kind: str = "booking.confirmed",
        customer: str = "cus-1",
        booking: str = "B-1",
        version: int | None = None,
        body_hash: bytes = b"same",
    ) -> NotificationEvent:
        """Build an event as the edge would hand it over."""
        return NotificationEvent(
            id=event_id,
            source="/booking",
            type=kind,
            time=self.services.clock.now(),
            business_ref=self.business.ref,
            booking=Booking(ref=booking, starts_at=starts_at, service="Taglio", version=version),
            customer=EventCustomer(
                id=customer, first_name="Giulia", phone="+393331234567", locale="it"
            ),
            body_hash=body_hash,
        )


@pytest.fixture
def open_salon(services: Services, add_business: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that connects a business to the scripted channel."""

    async def connect(
        ref: str = "salon-a", *, usable: bool = True, reminders: bool = False
    ) -> Salon:
        business = await add_business(ref)
        sender = services.channels.get(CHANNEL) or ScriptedSender()
        services.channels[CHANNEL] = sender  # type: ignore[index]
        services.registry.plugins[CHANNEL] = ScriptedPlugin()
        catalogue = Catalogue(CHANNEL, lane_follows)
        async with services.database.engine() as transaction:
            await catalogue.put_connections(
                transaction,
                [
                    Connection(
                        business_id=business.id,
                        account_ref=f"account-{ref}",
                        state=ConnectionState.ACTIVE,
                    )
                ],
            )
            await catalogue.put_templates(
                transaction,
                [
                    Template(
                        business_id=business.id,
                        name=name,
                        language="it",
                        usable=usable,
                        parameters=("first_name", "business_name", "date", "time"),
                        body="Ciao {{first_name}}, {{business_name}}: {{date}} {{time}}",
                    )
                    for name in (
                        "booking_confirmed",
                        "booking_rescheduled",
                        "booking_canceled",
                        *(("reminder_24h", "reminder_2h") if reminders else ()),
                    )
                ],
            )
        return Salon(services, business, sender)  # type: ignore[arg-type]

    return connect
