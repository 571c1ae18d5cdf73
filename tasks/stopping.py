"""What ends a process: its signals, or an event of whoever runs it inside another."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def stopping(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """Yield the event that ends the process; the signals set it when the caller brings none."""
    if stop is not None:
        yield stop
        return
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ending.set)
    try:
        yield ending
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)
