"""The loop that sends: claim, begin, hand over many at once, record in batches.

A worker claims no more than it has free send slots. One business has at most a share of them on
their way, and as many again waiting behind; beyond that its lane rests until some have come back.
A provider that hangs for one business thus does not stop the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

import structlog

from core.crashpoint import crashpoint
from core.ids import new_uuid
from core.limits import lanes
from core.notify import delivery
from core.outbox import store
from tasks.looping import DATABASE_FAULTS
from tasks.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from core.limits.lanes import Claimed, LaneKey
    from core.notify.handovers import Begun
    from core.notify.services import Services
    from tasks.line import Line

SLOTS: Final = 256
SLOTS_PER_BUSINESS: Final = 16
DRAIN_SECONDS: Final = 20.0

_QUANTUM: Final = 16
_WAIT_SECONDS: Final = 1.2
"""Below the two seconds after which `begin` refuses (rulings B2)."""
_REST: Final = timedelta(seconds=1)
_GATHER_SECONDS: Final = 0.008

_log = structlog.get_logger("patchbay.dispatch")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claimed message that was not begun yet."""

    id: UUID
    business_id: UUID
    channel: str
    token: UUID
    since: float


@dataclass(slots=True)
class Dispatcher:
    """Sends what is due, bounded overall and per business.

    Args:
        services: the process's parts; the ring wakes lanes for retries.
        bell: wakes the loop; set by the ring, and here when slots become free.
        line: notes whether the database answers.
        slots: how many messages this process sends at once.
        per_business: how many of them may be one business's.
    """

    services: Services
    bell: asyncio.Event
    line: Line
    slots: int = SLOTS
    per_business: int = SLOTS_PER_BUSINESS
    _waiting: list[Waiting] = field(init=False, default_factory=list)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _busy: Counter[UUID] = field(init=False, default_factory=Counter)
    _resting: dict[UUID, set[LaneKey]] = field(
        init=False, default_factory=lambda: defaultdict(set)
    )
    _quantum: int = field(init=False, default=_QUANTUM)
    _starved: bool = field(init=False, default=False)
    _recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        """Start nothing yet; the recorder starts with the first answer."""
        self._recorder = Recorder(self.services, self.line)

    @property
    def free(self) -> int:
        """Return how many more messages may be claimed."""
        return self.slots - len(self._sending) - len(self._waiting)

    async def step(self) -> bool:
        """Begin what waits, claim what there is room for; tells whether there may be more."""
        if self._waiting or self.free < self.slots // 2:
            # To begin or claim one costs as much as many: let a few more come back.
            await asyncio.sleep(_GATHER_SECONDS)
        await self._give_back_late()
        await self._begin_waiting()
        room = self.free
        self._starved = room <= 0
        if self._starved:
            return False
        claimed = await self._claim(room)
        await self._begin_waiting()
        return bool(claimed)

    async def drain(self) -> None:
        """Give back what was not begun, wait for what is in flight, record it.

        Raises:
            OSError, asyncpg.PostgresError: nothing could be given back; the leases end by
                themselves.
        """
        waiting, self._waiting = self._waiting, []
        try:
            await self._give_back(waiting)
        finally:
            if self._sending:
                await asyncio.wait(self._sending, timeout=DRAIN_SECONDS)
            for task in self._sending:
                task.cancel()
            await self._recorder.close()

    async def _claim(self, room: int) -> int:
        quantum = min(self._quantum, room)
        token = new_uuid()
        async with self.services.database.engine() as transaction:
            claimed = await lanes.claim(
                transaction,
                lanes=max(1, room // quantum),
                quantum=quantum,
                token=token,
                channels=tuple(self.services.channels),
            )
            resting = self._full(claimed)
            for key in resting:
                await lanes.postpone(transaction, key, _REST)
            crashpoint("before_claim_commit", len(claimed))
        crashpoint("after_claim", len(claimed))
        for key in resting:
            self._resting[key[0]].add(key)
        self._learn(claimed, quantum)
        now = self.services.clock.monotonic()
        self._waiting += [
            Waiting(one.id, one.business_id, one.channel, token, now) for one in claimed
        ]
        return len(claimed)

    def _full(self, claimed: Iterable[Claimed]) -> list[LaneKey]:
        """Return the claimed lanes of businesses that hold twice their share now."""
        held = Counter(self._busy)
        held.update(one.business_id for one in self._waiting)
        held.update(one.business_id for one in claimed)
        keys = {(one.business_id, one.channel) for one in claimed}
        return sorted(key for key in keys if held[key[0]] >= 2 * self.per_business)

    def _learn(self, claimed: Iterable[Claimed], quantum: int) -> None:
        """Ask more lanes for less each when they hold little, and fewer for more when they do."""
        per_lane = Counter((one.business_id, one.channel) for one in claimed)
        if not per_lane:
            self._quantum = _QUANTUM
        elif max(per_lane.values()) >= quantum:
            self._quantum = min(_QUANTUM, quantum * 2)
        elif max(per_lane.values()) * 2 <= quantum:
            self._quantum = max(1, quantum // 2)

    async def _begin_waiting(self) -> None:
        """Begin, at most 32 at a time, what the businesses' shares allow now."""
        while batch := self._take():
            await self._begin(batch)

    async def _begin(self, batch: list[Waiting]) -> None:
        token = batch[0].token
        self._busy.update(one.business_id for one in batch)
        begun: list[Begun] = []
        try:
            begun = await delivery.begin_batch(self.services, token, [one.id for one in batch])
        except DATABASE_FAULTS:
            # Begun or not: to begin again finds only what was not, and so does giving back.
            self._waiting += batch
            raise
        except Exception:  # noqa: BLE001 - one message must not cost the other 31
            _log.exception("batch-not-begun", count=len(batch))
            if len(batch) > 1:
                for one in batch:
                    await self._begin([one])
        finally:
            going = {message.id for message in begun}
            self._release(one.business_id for one in batch if one.id not in going)
        for message in begun:
            task = asyncio.create_task(self._send(token, message), name="send")
            self._sending.add(task)

    def _take(self) -> list[Waiting]:
        """Take from what waits: one token, at most a begin's worth, within each share."""
        taken: list[Waiting] = []
        kept: list[Waiting] = []
        share = Counter(self._busy)
        for one in self._waiting:
            fits = (
                len(taken) < store.MAX_BEGIN
                and share[one.business_id] < self.per_business
                and (not taken or taken[0].token == one.token)
            )
            (taken if fits else kept).append(one)
            if fits:
                share[one.business_id] += 1
        self._waiting = kept
        return taken

    async def _send(self, token: UUID, begun: Begun) -> None:
        try:
            result = await delivery.hand_over(self.services, begun)
            self._recorder.add(token, result)
        finally:
            self._sending.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._release((begun.business_id,))
            if self._waiting or self._starved:
                self.bell.set()

    def _release(self, businesses: Iterable[UUID]) -> None:
        for business_id in businesses:
            self._busy[business_id] -= 1
            if self._busy[business_id] < self.per_business and business_id in self._resting:
                self.services.ring.lanes(self._resting.pop(business_id))
            if not self._busy[business_id]:
                del self._busy[business_id]

    async def _give_back_late(self) -> None:
        """Give back what waited too long for its business's share."""
        limit = self.services.clock.monotonic() - _WAIT_SECONDS
        late = [one for one in self._waiting if one.since < limit]
        if late:
            self._waiting = [one for one in self._waiting if one.since >= limit]
            await self._give_back(late)

    async def _give_back(self, waiting: Iterable[Waiting]) -> None:
        by_token: dict[UUID, list[Waiting]] = defaultdict(list)
        for one in waiting:
            by_token[one.token].append(one)
        for token, members in by_token.items():
            async with self.services.database.engine() as transaction:
                await store.give_back(transaction, token, [one.id for one in members])
