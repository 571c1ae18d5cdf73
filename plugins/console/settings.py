"""The deployment's own settings of this channel: `PATCHBAY_CONSOLE_*`."""

from __future__ import annotations

from typing import Annotated

import msgspec


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long entries are kept.

    Attributes:
        cleanup_cron: when old entries are deleted: five or six cron fields, UTC.
        keep_days: the age at which an entry is old.
    """

    cleanup_cron: Annotated[str, msgspec.Meta(pattern=r"^\S+( \S+){4,5}$")] = "17 3 * * *"
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 30
