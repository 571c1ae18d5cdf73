"""The loop that sends: claim, begin, hand over many at once, record in batches.

A worker claims no more than it has free send slots. One business has at most a share of them on
their way per channel, and as many again waiting behind; beyond that its lane rests until some have
come back. Where answers take long the share is small and nothing waits behind it: what was claimed
too much goes back at once. A provider that hangs for one business thus does not slow the others.
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
from tasks.shares import SLOW_SECONDS, Shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
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
_LONG_REST: Final = timedelta(seconds=5)
"""Of a lane whose provider hangs; an answer ends it early."""
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

    @property
    def lane(self) -> LaneKey:
        """Return the lane it came from."""
        return self.business_id, self.channel


@dataclass(slots=True)
class Dispatcher:
    """Sends what is due, bounded overall and per lane.

    Args:
        services: the process's parts; the ring wakes lanes for retries.
        bell: wakes the loop; set by the ring, and here when slots become free.
        line: notes whether the database answers.
        slots: how many messages this process sends at once.
        per_business: how many of them may be one business's on one channel.
        slow_seconds: a send that takes longer cuts its lane's share.
    """

    services: Services
    bell: asyncio.Event
    line: Line
    slots: int = SLOTS
    per_business: int = SLOTS_PER_BUSINESS
    slow_seconds: float = SLOW_SECONDS
    _waiting: list[Waiting] = field(init=False, default_factory=list)
    _sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _shares: Shares = field(init=False)
    _resting: set[LaneKey] = field(init=False, default_factory=set)
    _quantum: int = field(init=False, default=_QUANTUM)
    _starved: bool = field(init=False, default=False)
    _recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        """Start nothing yet; the recorder starts with the first answer."""
        self._recorder = Recorder(self.services, self.line)
        self._shares = Shares(self.per_business, self.slow_seconds)

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
            now = self.services.clock.monotonic()
            held = self._held(claimed)
            surplus = self._surplus(claimed, held, now)
            if surplus:
                await store.give_back(transaction, token, sorted(surplus))
            for key, rest in self._full(held, now):
                await lanes.postpone(transaction, key, rest)
                self._resting.add(key)
            crashpoint("before_claim_commit", len(claimed))
        crashpoint("after_claim", len(claimed))
        self._learn(claimed, quantum)
        kept = [one for one in claimed if one.id not in surplus]
        self._waiting += [
            Waiting(one.id, one.business_id, one.channel, token, now) for one in kept
        ]
        return len(claimed)

    def _held(self, claimed: Iterable[Claimed]) -> dict[LaneKey, int]:
        """Return how much each of the claimed lanes holds now, on its way and waiting."""
        held = Counter(self._shares.busy)
        held.update(one.lane for one in self._waiting)
        held.update((one.business_id, one.channel) for one in claimed)
        return {
            (one.business_id, one.channel): held[one.business_id, one.channel] for one in claimed
        }

    def _surplus(
        self, claimed: Sequence[Claimed], held: Mapping[LaneKey, int], now: float
    ) -> set[UUID]:
        """Return what was claimed of slow lanes beyond their share: it must not wait here."""
        over = {
            key: count - self._shares.of(key, now)
            for key, count in held.items()
            if self._shares.is_slow(key, now)
        }
        surplus: set[UUID] = set()
        for one in reversed(claimed):
            key = (one.business_id, one.channel)
            if over.get(key, 0) > 0:
                over[key] -= 1
                surplus.add(one.id)
        return surplus

    def _full(self, held: Mapping[LaneKey, int], now: float) -> list[tuple[LaneKey, timedelta]]:
        """Return the lanes that have enough for now, and how long each rests at most."""
        full: list[tuple[LaneKey, timedelta]] = []
        for key, count in sorted(held.items()):
            if self._shares.is_slow(key, now):
                if count >= self._shares.of(key, now):
                    full.append((key, _LONG_REST))
            elif count >= 2 * self.per_business:
                full.append((key, _REST))
        return full

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
        self._shares.reserve(one.lane for one in batch)
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
            self._release(one.lane for one in batch if one.id not in going)
        for message in begun:
            task = asyncio.create_task(self._send(token, message), name="send")
            self._sending.add(task)

    def _take(self) -> list[Waiting]:
        """Take from what waits: one token, at most a begin's worth, within each share."""
        taken: list[Waiting] = []
        kept: list[Waiting] = []
        busy, now = Counter(self._shares.busy), self.services.clock.monotonic()
        for one in self._waiting:
            fits = (
                len(taken) < store.MAX_BEGIN
                and busy[one.lane] < self._shares.of(one.lane, now)
                and (not taken or taken[0].token == one.token)
            )
            (taken if fits else kept).append(one)
            if fits:
                busy[one.lane] += 1
        self._waiting = kept
        return taken

    async def _send(self, token: UUID, begun: Begun) -> None:
        lane, clock = (begun.business_id, begun.channel), self.services.clock
        self._shares.begin(lane, begun.id, clock.monotonic())
        try:
            result = await delivery.hand_over(self.services, begun)
            self._recorder.add(token, result)
        finally:
            self._sending.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._shares.end(lane, begun.id, clock.monotonic())
            self._release((lane,))
            if self._waiting or self._starved:
                self.bell.set()

    def _release(self, freed: Iterable[LaneKey]) -> None:
        now = self.services.clock.monotonic()
        woken: set[LaneKey] = set()
        for lane in freed:
            self._shares.release(lane)
            if lane in self._resting and self._shares.busy[lane] < self._shares.of(lane, now):
                self._resting.discard(lane)
                woken.add(lane)
        if woken:
            self.services.ring.lanes(woken)

    async def _give_back_late(self) -> None:
        """Give back what waited too long for its lane's share, or waits behind a slow one."""
        now = self.services.clock.monotonic()
        limit = now - _WAIT_SECONDS
        late = [
            one
            for one in self._waiting
            if one.since < limit or self._shares.is_slow(one.lane, now)
        ]
        if late:
            gone = {one.id for one in late}
            self._waiting = [one for one in self._waiting if one.id not in gone]
            await self._give_back(late)

    async def _give_back(self, waiting: Iterable[Waiting]) -> None:
        by_token: dict[UUID, list[Waiting]] = defaultdict(list)
        for one in waiting:
            by_token[one.token].append(one)
        for token, members in by_token.items():
            async with self.services.database.engine() as transaction:
                await store.give_back(transaction, token, [one.id for one in members])
