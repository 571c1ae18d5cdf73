"""What the simulator accepted, and every request it saw."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from plugins.whatsapp.simulator.rendering import Rendered

if TYPE_CHECKING:
    from io import BufferedWriter
    from pathlib import Path

_REQUESTS_KEPT: Final = 100_000


class Accepted(msgspec.Struct):
    """A message that was accepted; the columns of the journal."""

    sequence: int
    wamid: str
    accepted_at: str
    monotonic: float
    waba_id: str
    phone_number_id: str
    to: str
    type: str
    template: str | None
    language: str | None
    components: list[Any] | None
    text: str
    rendered: Rendered
    biz_opaque_callback_data: str | None


class Attempt(msgspec.Struct):
    """A request to Graph and how it was answered."""

    sequence: int
    at: str
    method: str
    path: str
    status: int
    code: int | None
    to: str | None


class Journal:
    """Accepted messages in order; written to a file, when there is one, before the answer."""

    def __init__(self, path: Path | None = None) -> None:
        self._encoder = msgspec.json.Encoder()
        self._file: BufferedWriter | None = None if path is None else path.open("ab")
        self.accepted: list[Accepted] = []
        self.attempts: deque[Attempt] = deque(maxlen=_REQUESTS_KEPT)
        self._last_accepted = 0
        self._last_attempt = 0

    def add(self, message: Accepted) -> None:
        """Number a message and write it down."""
        self._last_accepted += 1
        message.sequence = self._last_accepted
        if self._file is not None:
            self._file.write(self._encoder.encode(message) + b"\n")
            self._file.flush()
        self.accepted.append(message)

    def add_attempt(self, attempt: Attempt) -> None:
        """Number a request and keep it; the oldest are dropped."""
        self._last_attempt += 1
        attempt.sequence = self._last_attempt
        self.attempts.append(attempt)

    def list_since(self, since: int, limit: int, to: str = "") -> list[Accepted]:
        """Return messages with a higher number than ``since``, oldest first."""
        first = self.accepted[0].sequence if self.accepted else 1
        found: list[Accepted] = []
        for place in range(max(0, since - first + 1), len(self.accepted)):
            message = self.accepted[place]
            if not to or message.to == to:
                found.append(message)
            if len(found) >= limit:
                break
        return found

    def list_attempts(self, since: int, limit: int) -> list[Attempt]:
        """Return requests with a higher number than ``since``, oldest first."""
        if not self.attempts or self.attempts[-1].sequence <= since:
            return []
        skipped = max(0, since - self.attempts[0].sequence + 1)
        return list(self.attempts)[skipped : skipped + limit]

    def clear(self) -> None:
        """Forget what is in memory; numbers go on and the file keeps its lines."""
        self.accepted.clear()
        self.attempts.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
