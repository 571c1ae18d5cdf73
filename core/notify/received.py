"""Tells the booking system that customers wrote, where it wants to hear of it.

Told are the customer, the notification that is answered and the button that was pressed; the
words and the address stay in the message log. The database writes the callbacks, in the
transaction that keeps the messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A customer wrote.

    Attributes:
        notification_id: our message that this one answers.
        button: the payload of a pressed button, else empty.
    """

    business_id: UUID
    customer_id: UUID | None
    notification_id: UUID | None
    message_type: str
    button: str
    at: datetime


async def tell(transaction: Transaction, channel: str, messages: Sequence[Received]) -> None:
    """Write callbacks for whoever wants them, in one statement."""
    if not messages:
        return
    await transaction.execute(
        "SELECT callback_tell_received($1, $2, $3, $4, $5, $6, $7)",
        [one.business_id for one in messages],
        [one.customer_id for one in messages],
        [one.notification_id for one in messages],
        channel,
        [one.message_type for one in messages],
        [one.button for one in messages],
        [one.at for one in messages],
    )
