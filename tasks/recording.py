"""Writes down what became of sends, in batches, and does not forget them in an outage."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from core.notify import delivery
from tasks.looping import DATABASE_FAULTS

if TYPE_CHECKING:
    from uuid import UUID

    from core.notify.handovers import SendResult
    from core.notify.services import Services
    from tasks.line import Line

_GATHER_SECONDS: Final = 0.006
_MOST: Final = 64
_PAUSE_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 10.0

_log = structlog.get_logger("patchbay.dispatch")


class Recorder:
    """Collects answers for a moment and records them together.

    Args:
        services: the process's parts.
        line: notes whether the database answers.
    """

    def __init__(self, services: Services, line: Line) -> None:
        self._services = services
        self._line = line
        self._answers: dict[UUID, list[SendResult]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None

    def add(self, token: UUID, result: SendResult) -> None:
        """Take an answer; it is recorded within milliseconds."""
        self._answers[token].append(result)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="record")

    async def close(self) -> None:
        """Record what is left; gives up when the database stays away."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
            self._task.cancel()
        if self._answers:
            # Their leases end, and the provider's own news settles them.
            _log.warning("answers-not-recorded", count=sum(map(len, self._answers.values())))

    async def _write(self) -> None:
        while self._answers:
            await asyncio.sleep(_GATHER_SECONDS)
            for token in list(self._answers):
                batch = self._answers[token][:_MOST]
                if await self._record(token, batch):
                    del self._answers[token][: len(batch)]
                    if not self._answers[token]:
                        del self._answers[token]

    async def _record(self, token: UUID, batch: list[SendResult]) -> bool:
        """Record a batch; False means that it is to be tried again."""
        try:
            keys = await delivery.record_batch(self._services, token, batch)
        except DATABASE_FAULTS as error:
            self._line.lost(error)
            await asyncio.sleep(_PAUSE_SECONDS)
            return False
        except Exception:  # noqa: BLE001 - the answers of a batch must outlive whatever one of them does
            if len(batch) == 1:
                _log.exception("answer-not-recorded")
                return True
            _log.exception("batch-not-recorded", count=len(batch))
            # One answer that cannot be written must not cost the others.
            return all([await self._record(token, [one]) for one in batch])
        self._line.back()
        self._services.ring.lanes(keys)
        return True
