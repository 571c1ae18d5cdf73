"""A message between its begin and its record: what is handed over, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.messages import OutboundMessage
    from core.errors import SendError


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A message that is in flight: it must be handed over once, now, and recorded.

    Attributes:
        message: what to hand over; None when a value is missing, which fails it unsent.
        deadline: monotonic seconds after which the bytes must not leave any more.
    """

    id: UUID
    business_id: UUID
    customer_id: UUID
    channel: str
    message: OutboundMessage | None
    missing: tuple[str, ...]
    attempt: int
    retry_count: int
    deadline: float
    text: str
    address_hash: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What the provider, or its silence, said."""

    begun: Begun
    provider_message_id: str = ""
    error: SendError | None = None
