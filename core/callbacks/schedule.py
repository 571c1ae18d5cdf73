"""When to try again: eight attempts over more than a day, each a little before or after."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
)
"""Between the attempts: 31 hours and 35 minutes in all, more than 27 even with all the jitter."""

ATTEMPTS: Final = len(WAITS) + 1
JITTER: Final = 0.1
LONGEST_ASKED: Final = timedelta(hours=24)
"""How much of a `Retry-After` is obeyed."""


def wait_after(
    attempt: int, random: Callable[[], float], asked: timedelta | None = None
) -> timedelta | None:
    """Return the wait before the next attempt, or None after the last one.

    Args:
        attempt: the number of the one that failed, from 1.
        random: a number from 0 up to 1; spreads the attempts of one outage.
        asked: what the receiver asked us to wait at least.
    """
    if attempt >= ATTEMPTS:
        return None
    wait = WAITS[attempt - 1] * (1 + JITTER * (2 * random() - 1))
    return max(wait, min(asked, LONGEST_ASKED)) if asked is not None else wait
