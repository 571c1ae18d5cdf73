"""How many calls a key may make: one bucket per key, shared by all processes, in PostgreSQL.

A process draws calls from the bucket in small lots and spends them by itself, so that a call
costs no statement of its own: the first lot comes with the look-up of the key, and another one is
drawn when it is used up. What is not spent within a second goes back. Over any time of W seconds
all processes together let through at most `burst + per_second * (W + 1)` calls of a key.

Where the bucket cannot be read the key cannot be either: the call is answered 503, not let in.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.errors import InvalidInputError, ProblemError

if TYPE_CHECKING:
    from core.channels.host import Transaction
    from core.clock import Clock
    from core.db import Database

PER_SECOND: Final = 500
BURST: Final = 1000
"""What a key may do that was given no rate of its own."""

MOST_PER_SECOND: Final = 100_000

_LOTS_A_SECOND: Final = 5
_HELD_SECONDS: Final = 1.0
_REMEMBERED: Final = 1024
_STRANGER_BURST: Final = 200
_STRANGER_PER_SECOND: Final = 20.0


class RateLimitedError(ProblemError):
    """Too many calls; nothing was done.

    Args:
        retry_after: seconds after which a call is let in again.
        standing: what the key has left, if it is a key's limit.
    """

    status = 429
    code = "rate-limited"

    def __init__(self, detail: str, *, retry_after: int, standing: Standing | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls a second on the long run, so many at once."""

    per_second: int = PER_SECOND
    burst: int = BURST

    @property
    def window(self) -> int:
        """Return the seconds in which an empty bucket fills."""
        return max(1, math.ceil(self.burst / self.per_second))


def check_rate(rate: Rate | None) -> None:
    """Refuse a rate that allows nothing, or everything.

    Raises:
        InvalidInputError: it does.
    """
    if rate is not None and not (
        1 <= rate.per_second <= MOST_PER_SECOND and 1 <= rate.burst <= MOST_PER_SECOND
    ):
        raise InvalidInputError(f"A rate is 1 to {MOST_PER_SECOND} calls.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a key may still do, for the headers of an answer."""

    rate: Rate
    remaining: int

    @property
    def resets_in(self) -> int:
        """Return the seconds until the whole burst is there again."""
        return math.ceil((self.rate.burst - self.remaining) / self.rate.per_second)


@dataclass(slots=True)
class _Lot:
    """What this process has drawn of one key's bucket."""

    calls: int = 0
    left_behind: int = 0
    ends_at: float = -math.inf
    empty_until: float = -math.inf
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class KeyRates:
    """Spends the calls of keys; one per process and door."""

    database: Database
    clock: Clock
    _lots: OrderedDict[str, _Lot] = field(default_factory=OrderedDict)

    async def spend(self, key_id: str, rate: Rate) -> Standing:
        """Spend one call.

        Raises:
            RateLimitedError: there is none left.
        """
        lot = self._lot(key_id)
        if not self._spent(lot):
            async with lot.lock:
                # Who waited for the lock finds what the one before has drawn.
                if not self._spent(lot):
                    self._refuse_if_empty(lot, rate)
                    async with self.database.engine() as transaction:
                        await self._draw(transaction, key_id, rate, lot)
                    self._refuse_if_empty(lot, rate)
                    lot.calls -= 1
        return Standing(rate, lot.calls + lot.left_behind)

    async def draw_early(self, transaction: Transaction, key_id: str, rate: Rate) -> None:
        """Draw in a transaction that is open anyway, where a lot will be wanted soon."""
        lot = self._lot(key_id)
        now = self.clock.monotonic()
        if lot.lock.locked() or now < lot.ends_at or now < lot.empty_until:
            return
        async with lot.lock:
            await self._draw(transaction, key_id, rate, lot)

    def _lot(self, key_id: str) -> _Lot:
        lot = self._lots.get(key_id)
        if lot is None:
            lot = self._lots[key_id] = _Lot()
            while len(self._lots) > _REMEMBERED:
                self._lots.popitem(last=False)
        return lot

    def _spent(self, lot: _Lot) -> bool:
        if lot.calls < 1 or self.clock.monotonic() >= lot.ends_at:
            return False
        lot.calls -= 1
        return True

    def _refuse_if_empty(self, lot: _Lot, rate: Rate) -> None:
        wait = lot.empty_until - self.clock.monotonic()
        if wait > 0:
            raise RateLimitedError(
                f"This key may make {rate.per_second} calls a second.",
                retry_after=max(1, math.ceil(wait)),
                standing=Standing(rate, 0),
            )

    async def _draw(self, transaction: Transaction, key_id: str, rate: Rate, lot: _Lot) -> None:
        """Give back what is left of the last lot and draw another one."""
        back, lot.calls = lot.calls, 0
        wanted = max(1, rate.per_second // _LOTS_A_SECOND)
        row = await transaction.fetchrow(
            "SELECT granted, remaining, wait_seconds FROM api_key_draw($1, $2, $3, $4, $5)",
            key_id,
            rate.per_second,
            rate.burst,
            wanted,
            back,
        )
        now = self.clock.monotonic()
        if row is None or row["granted"] < 1:
            lot.left_behind = 0
            lot.empty_until = now + (row["wait_seconds"] if row else _HELD_SECONDS)
            return
        lot.calls, lot.left_behind = row["granted"], row["remaining"]
        lot.ends_at, lot.empty_until = now + _HELD_SECONDS, -math.inf


@dataclass(slots=True)
class StrangerRates:
    """Slows down addresses that try keys which open nothing; kept by each process for itself.

    Keys that have opened before are never held up by what others do from the same address.
    """

    clock: Clock
    _faults: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def admit(self, address: str) -> None:
        """Let an address try a key.

        Raises:
            RateLimitedError: it has tried too many wrong ones.
        """
        faults, _ = self._standing(address)
        if faults > _STRANGER_BURST - 1:
            wait = (faults - (_STRANGER_BURST - 1)) / _STRANGER_PER_SECOND
            raise RateLimitedError(
                "Too many wrong keys came from this address.", retry_after=max(1, math.ceil(wait))
            )

    def count(self, address: str) -> None:
        """Count a key that opened nothing."""
        faults, now = self._standing(address)
        self._faults[address] = (faults + 1, now)
        self._faults.move_to_end(address)
        while len(self._faults) > _REMEMBERED:
            self._faults.popitem(last=False)

    def _standing(self, address: str) -> tuple[float, float]:
        now = self.clock.monotonic()
        faults, at = self._faults.get(address, (0.0, now))
        return max(0.0, faults - (now - at) * _STRANGER_PER_SECOND), now
