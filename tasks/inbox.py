"""The loop that applies the providers' stored calls, channel after channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.notify.inbox import apply_waiting

if TYPE_CHECKING:
    from core.notify.services import Services

BATCH: Final = 200


async def apply_inbox(services: Services) -> bool:
    """Apply a batch of each channel; tells whether there are more that were not tried yet.

    What could not be applied is tried again with the next look, a second later.
    """
    more = False
    for channel in tuple(services.channels):
        taken = await apply_waiting(services, channel, BATCH)
        more = more or taken >= BATCH
    return more
