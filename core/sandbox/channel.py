"""A channel as the host uses it: what belongs to a test business never reaches the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.channels.messages import Check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.channel import Channel
    from core.channels.host import Transaction
    from core.channels.messages import (
        ChannelEvent,
        ConnectionState,
        OutboundMessage,
        ProviderEvent,
        Receipt,
        Rendered,
        WebhookRequest,
    )
    from core.ids import BusinessId
    from core.sandbox.provider import SandboxProvider


class SandboxedChannel:
    """Stands before a channel; the only way by which the host hands messages over.

    Args:
        slug: the channel's name.
        channel: the real one.
        sandbox: knows the test businesses, and answers for them.
    """

    def __init__(self, slug: str, channel: Channel, sandbox: SandboxProvider) -> None:
        self._slug = slug
        self._channel = channel
        self._sandbox = sandbox

    async def send(self, message: OutboundMessage) -> Receipt:
        """Hand a live business's message to the provider, a test one's to the sandbox.

        Raises:
            SendError: it was refused, or it is not known whose it is.
        """
        if await self._sandbox.has(message.business_id):
            return await self._sandbox.take(self._slug, message)
        return await self._channel.send(message)

    async def render(self, message: OutboundMessage) -> Rendered:
        """Return what the customer would see."""
        return await self._channel.render(message)

    async def set_state(
        self,
        transaction: Transaction,
        business_id: BusinessId,
        state: ConnectionState,
        reason: str,
    ) -> None:
        """Tell the channel what the host found out about a business's connection."""
        await self._channel.set_state(transaction, business_id, state, reason)

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Let the channel write its own tables."""
        await self._channel.apply(transaction, events)

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Answer the provider's look at our address."""
        return self._channel.challenge(query)

    def verify(self, request: WebhookRequest) -> None:
        """Check a provider's signature.

        Raises:
            WebhookRejectedError: it is wrong.
        """
        self._channel.verify(request)

    def parse(self, request: WebhookRequest) -> Sequence[ProviderEvent]:
        """Read a provider's call."""
        return self._channel.parse(request)

    async def probe(self, business_id: BusinessId) -> Sequence[Check]:
        """Look at a connection from the outside; a test business has none to look at."""
        if await self._sandbox.has(business_id):
            return [Check(name="sandbox", passed=True, detail="This business is a test one.")]
        return await self._channel.probe(business_id)

    async def close(self) -> None:
        """Let go of whatever the channel holds."""
        await self._channel.close()
