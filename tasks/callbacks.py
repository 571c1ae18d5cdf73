"""The loop that delivers callbacks to the booking system.

It stands beside the sending of messages and shares nothing with it but the database: an address
that hangs costs places here, never there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from core.callbacks import sending
from core.callbacks.outgoing import CONNECTIONS, open_callback_client
from tasks.looping import DATABASE_FAULTS

if TYPE_CHECKING:
    import httpx

    from core.callbacks.deliveries import Attempted
    from core.callbacks.sending import Claimed
    from core.notify.services import Services

SLOTS: Final = CONNECTIONS

_GATHER_SECONDS: Final = 0.01
_DRAIN_SECONDS: Final = 5.0

_log = structlog.get_logger("patchbay.callbacks")


class CallbackSender:
    """Claims callbacks, delivers many at once, and records what became of them in sets.

    Args:
        services: the process's parts.
        bell: set when an attempt has ended, so that the loop looks again.
        client: connects to the receivers; it is closed with the sender.
        slots: how many callbacks are on their way at once.
    """

    def __init__(
        self,
        services: Services,
        bell: asyncio.Event,
        client: httpx.AsyncClient | None = None,
        slots: int = SLOTS,
    ) -> None:
        self._services = services
        self._bell = bell
        self._client = client or open_callback_client(local=services.local_callbacks)
        self._slots = slots
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[Attempted] = []

    async def step(self) -> bool:
        """Record what has ended, claim what is due, start delivering it; True if it was any."""
        if self._ended:
            await asyncio.sleep(_GATHER_SECONDS)
            await self._record()
        free = self._slots - len(self._running)
        if free <= 0:
            return False
        claimed = await sending.claim(self._services, free)
        for one in claimed:
            task = asyncio.create_task(self._deliver(one), name="callback")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return bool(claimed)

    async def drain(self) -> None:
        """Wait a moment for what is on its way, record it, and let go of the connections.

        What does not end in time goes back to the queue when its lease ends.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=_DRAIN_SECONDS)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            await self._record()
        except DATABASE_FAULTS as error:
            # Their leases end by themselves.
            _log.warning("callbacks-not-recorded", error=type(error).__name__)
        await self._client.aclose()

    async def _deliver(self, claimed: Claimed) -> None:
        self._ended.append(await sending.deliver(self._services, self._client, claimed))
        self._bell.set()

    async def _record(self) -> None:
        batch = list(self._ended)
        try:
            await sending.record(self._services, batch)
        except DATABASE_FAULTS:
            raise  # the answers are kept, and written when the database is back
        except Exception:  # noqa: BLE001 - what cannot be written must not stop the others
            _log.exception("callbacks-not-recorded", count=len(batch))
        del self._ended[: len(batch)]
