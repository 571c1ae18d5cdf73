"""What a channel does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.host import Transaction
    from core.channels.messages import (
        ChannelEvent,
        Check,
        ConnectionState,
        OutboundMessage,
        ProviderEvent,
        Receipt,
        Rendered,
        WebhookRequest,
    )
    from core.ids import BusinessId


class Channel(Protocol):
    """One way to reach a customer: hand messages over, read the provider's news."""

    async def send(self, message: OutboundMessage) -> Receipt:
        """Hand one message over, once.

        Raises:
            SendError: the subclass tells the host what to do next.
        """
        ...

    async def render(self, message: OutboundMessage) -> Rendered:
        """Say what the customer would see, without calling the provider."""
        ...

    async def set_state(
        self,
        transaction: Transaction,
        business_id: BusinessId,
        state: ConnectionState,
        reason: str,
    ) -> None:
        """Keep, in the channel's own tables, what the host found out about a connection."""
        ...

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Take account, template and quality news into the channel's tables and the catalogue.

        Runs inside the host's inbox transaction, under a savepoint; must be repeatable.
        """
        ...

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Answer the provider's one-time check of our webhook address; None refuses it."""
        ...

    def verify(self, request: WebhookRequest) -> None:
        """Check, over the raw bytes and in constant time, that the provider signed this.

        Raises:
            WebhookRejectedError: wrong or missing signature, or no secret is configured.
        """
        ...

    def parse(self, request: WebhookRequest) -> Sequence[ProviderEvent]:
        """Translate a verified request into news in our words; pure.

        Unknown kinds become a ChannelEvent with `known=False`, so that nothing is lost.
        """
        ...

    async def probe(self, business_id: BusinessId) -> Sequence[Check]:
        """Look at a business's connection from the outside and say what is wrong with it."""
        ...

    async def close(self) -> None:
        """Let go of whatever the channel holds."""
        ...
