"""How what a message is made of is sealed into its row of the outbox, and opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.notify.wording import Source

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Vault


def seal_source(vault: Vault, business_id: UUID, message_id: UUID, source: Source) -> bytes:
    """Return the value of `variables_sealed`, bound to this message of this business."""
    return vault.seal(msgspec.json.encode(source), context=_context(business_id, message_id))


def open_source(vault: Vault, business_id: UUID, message_id: UUID, sealed: bytes) -> Source:
    """Open `variables_sealed` of a message.

    Raises:
        VaultError: no key of this process opens it.
    """
    opened = vault.open(sealed, context=_context(business_id, message_id))
    return msgspec.json.decode(opened, type=Source)


def _context(business_id: UUID, message_id: UUID) -> tuple[str, ...]:
    return ("notification_outbox", "variables_sealed", str(business_id), str(message_id))
