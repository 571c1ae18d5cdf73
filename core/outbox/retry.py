"""When to try again: exponential with jitter, five times, then give up (specification 9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RETRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to wait before each retry.

    Attributes:
        base: the wait before the first retry.
        factor: each wait is so many times the one before.
        jitter: each wait is multiplied by a number from 1 - jitter to 1 + jitter.
        longest: no wait is longer, before jitter.
    """

    base: timedelta = timedelta(seconds=30)
    factor: float = 2.0
    jitter: float = 0.25
    longest: timedelta = timedelta(hours=24)
    retries: int = MAX_RETRIES

    def delay(
        self, retries_so_far: int, random: Callable[[], float], floor: timedelta | None = None
    ) -> timedelta | None:
        """Return the wait before the next try, or None when the tries are used up.

        Args:
            retries_so_far: how many retries were made already; 0 after the first failure.
            random: a number from 0 up to 1; spreads the retries of one moment.
            floor: what the provider asked us to wait at least.
        """
        if retries_so_far >= self.retries:
            return None
        wait = min(self.longest, self.base * self.factor**retries_so_far)
        spread = wait * (1 + self.jitter * (2 * random() - 1))
        return max(spread, floor) if floor is not None else spread
