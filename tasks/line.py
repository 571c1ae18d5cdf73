"""Knows whether a server answers, and logs each change once."""

from __future__ import annotations

import structlog

_log = structlog.get_logger("patchbay.line")


class Line:
    """The line to one server, shared by all who call it.

    Args:
        name: whose line it is, for the log: `database` gives `database-lost`, `database-back`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.up = True

    def lost(self, error: BaseException) -> None:
        """Note that a call failed because the server is gone."""
        if self.up:
            self.up = False
            _log.warning(f"{self._name}-lost", error=type(error).__name__)

    def back(self) -> None:
        """Note that a call worked."""
        if not self.up:
            self.up = True
            _log.info(f"{self._name}-back")
