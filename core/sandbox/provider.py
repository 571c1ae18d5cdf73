"""The sandbox's provider: takes messages of test businesses, and nobody's else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import asyncpg

from core.channels.messages import InboundMessage, Receipt, StatusUpdate
from core.errors import RetryableError
from core.ids import NOTIFICATION, inward
from core.sandbox import magic
from core.sandbox.messages import keep_message
from core.sandbox.news import announce
from core.sandbox.tables import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from uuid import UUID

    from core.channels.host import Transaction
    from core.channels.messages import OutboundMessage, Parameter, ProviderEvent
    from core.clock import Clock
    from core.db import Database
    from core.ids import BusinessId
    from core.vault import Vault

    Preview = Callable[[str, Sequence[Parameter]], str]


PATIENCE_SECONDS: Final = 2.0
"""A look-up that took longer may have cost the message the time in which it must leave."""


@dataclass(slots=True)
class SandboxProvider:
    """Knows which businesses are test ones, and answers for the provider there.

    Args:
        preview: fills a template's text with values.
    """

    database: Database
    vault: Vault
    clock: Clock
    preview: Preview
    _modes: dict[UUID, bool] = field(default_factory=dict)

    async def has(self, business_id: BusinessId) -> bool:
        """Tell whether this is a test business; what a business is once, it stays.

        Raises:
            RetryableError: it cannot be found out in a moment; nothing must be sent then, also
                because the message's lease goes on running.
        """
        known = self._modes.get(business_id)
        if known is None:
            started = self.clock.monotonic()
            try:
                async with self.database.engine() as transaction:
                    mode = await transaction.fetchval(
                        "SELECT mode FROM business WHERE id = $1", business_id
                    )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _out_of_reach() from error
            known = self._modes[business_id] = mode != "live"
            if self.clock.monotonic() - started > PATIENCE_SECONDS:
                raise _out_of_reach()
        return known

    async def take(self, channel: str, message: OutboundMessage) -> Receipt:
        """Take a message over as its number says, and keep the news that will follow.

        Raises:
            SendError: its number refuses it.
        """
        try:
            async with self.database.engine() as transaction:
                return await self._take(transaction, channel, message)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _out_of_reach() from error

    async def _take(
        self, transaction: Transaction, channel: str, message: OutboundMessage
    ) -> Receipt:
        notification_id = inward(NOTIFICATION, message.callback_id)
        attempt: int = await transaction.fetchval(
            "SELECT count(*) FROM send_attempt WHERE business_id = $1 AND notification_id = $2",
            message.business_id,
            notification_id,
        )
        fate = magic.fate_of(message.address, attempt)
        receipt = Receipt(provider_message_id=f"sandbox.{message.callback_id}.{attempt}")
        await keep_message(
            transaction,
            self.vault,
            business_id=message.business_id,
            channel=channel,
            direction=Direction.OUT,
            address=message.address,
            text=message.text or await self._text(transaction, channel, message),
            notification_id=notification_id,
            template=message.template,
        )
        news = _news(message, receipt.provider_message_id, fate, self.clock)
        await announce(transaction, self.vault, message.business_id, channel, news)
        return receipt

    async def _text(self, transaction: Transaction, channel: str, message: OutboundMessage) -> str:
        body = await transaction.fetchval(
            """
            SELECT body FROM channel_template
            WHERE business_id = $1 AND channel = $2 AND name = $3 AND language = $4
            """,
            message.business_id,
            channel,
            message.template,
            message.language,
        )
        return self.preview(body or "", message.parameters)


def _news(
    message: OutboundMessage, provider_id: str, fate: magic.Fate, clock: Clock
) -> list[tuple[timedelta, ProviderEvent]]:
    now = clock.now()
    told: list[tuple[timedelta, ProviderEvent]] = [
        (
            wait,
            StatusUpdate(
                account=message.account,
                callback_id=message.callback_id,
                dedupe=f"{provider_id}:{place}:{status.value}",
                provider_message_id=provider_id,
                status=status,
                occurred_at=now + wait,
            ),
        )
        for place, (wait, status) in enumerate(fate.statuses)
    ]
    if fate.stop_after is not None and message.template:  # not to our confirmation
        answer = InboundMessage(
            account=message.account,
            dedupe=f"{provider_id}:answer",
            provider_message_id=f"{provider_id}.answer",
            sender=message.address,
            message_type="text",
            text=magic.STOP_WORD,
            answers=provider_id,
            occurred_at=now + fate.stop_after,
        )
        told.append((fate.stop_after, answer))
    return told


def _out_of_reach() -> RetryableError:
    return RetryableError("the sandbox cannot be asked now", code="sandbox-unavailable")
