"""The loop that applies the providers' stored calls, channel after channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.notify import inbox

if TYPE_CHECKING:
    from core.notify.services import Services

BATCH: Final = 200


async def apply_inbox(services: Services) -> bool:
    """Apply a batch of each channel; tells whether there may be more."""
    more = False
    for channel in tuple(services.channels):
        taken = await inbox.apply_waiting(services, channel, BATCH)
        more = more or taken > 0
    return more
