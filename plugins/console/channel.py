"""What the channel does: it hands messages over to the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from core.channels.messages import Check, Receipt, Rendered
from core.errors import WebhookRejectedError
from core.ids import NOTIFICATION, inward, new_uuid

from .tables import SLUG
from .templates import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.host import Host, Transaction
    from core.channels.messages import (
        ChannelEvent,
        ConnectionState,
        OutboundMessage,
        ProviderEvent,
        WebhookRequest,
    )
    from core.ids import BusinessId

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConsoleChannel:
    """Writes each message to the log and to its table, without the words and the address."""

    host: Host

    async def send(self, message: OutboundMessage) -> Receipt:
        """Hand one message over, once."""
        row = new_uuid()
        async with self.host.begin() as transaction:
            await transaction.execute(
                f"INSERT INTO {SLUG}_entry (id, business_id, notification_id, template, language, "
                "handed_over_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
                row,
                message.business_id,
                inward(NOTIFICATION, message.callback_id),
                message.template,
                message.language,
                self.host.clock.now(),
            )
        _log.info(
            "message handed over",
            channel=SLUG,
            notification=message.callback_id,
            template=message.template,
            language=message.language,
        )
        return Receipt(provider_message_id=f"{SLUG}:{row}")

    async def render(self, message: OutboundMessage) -> Rendered:
        """Say what the customer would see."""
        written = message.text or fill(message.template, message.language, message.parameters)
        return Rendered(text=written)

    async def set_state(
        self,
        transaction: Transaction,
        business_id: BusinessId,
        state: ConnectionState,
        reason: str,
    ) -> None:
        """Keep nothing: the core's catalogue knows all there is."""

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Take nothing in: a log tells no news."""

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Refuse: there is no provider."""
        del query
        return None

    def verify(self, request: WebhookRequest) -> None:
        """Refuse: nobody may call.

        Raises:
            WebhookRejectedError: always.
        """
        del request
        raise WebhookRejectedError(f"The channel {SLUG} takes no webhooks.")

    def parse(self, request: WebhookRequest) -> Sequence[ProviderEvent]:
        """Find nothing: no request gets this far."""
        del request
        return ()

    async def probe(self, business_id: BusinessId) -> Sequence[Check]:
        """Say that the log can always be written."""
        del business_id
        return [Check(name="log", passed=True, detail="Messages are written to the log.")]

    async def close(self) -> None:
        """Hold nothing, let go of nothing."""
