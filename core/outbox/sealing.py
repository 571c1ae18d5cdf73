"""What a provider's stored call is sealed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uuid import UUID

_SEALED: Final = ("provider_inbox", "body_sealed")


def sealing_context(channel: str, row_id: UUID) -> tuple[str, ...]:
    """Return what a stored body is bound to; it belongs to no business."""
    return (*_SEALED, channel, str(row_id))
