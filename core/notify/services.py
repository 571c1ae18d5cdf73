"""What the rooms of the core share in one process; built once by a composition root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from core.notify.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from core.channels.channel import Channel
    from core.channels.registry import Registry
    from core.clock import Clock
    from core.db import Database
    from core.vault import Vault


class Ring(Protocol):
    """Tells the workers that lanes may be ready or that the inbox has rows.

    Ringing is a courtesy: it never raises and never waits long; workers also look by themselves.
    """

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Wake these lanes, (business, channel), soon: call it after the commit."""
        ...

    def inbox(self) -> None:
        """Say that the inbox has rows: call it after the commit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts every room may use.

    Attributes:
        channels: the loaded channels by slug.
        registry: the plugins behind them, and those that failed.
        public_url: where callers reach this host, without a trailing slash.
        local_callbacks: whether callbacks may go to this machine and to any port: never in
            production.
        mailbox: keeps what providers tell us until it is applied.
    """

    clock: Clock
    database: Database
    vault: Vault
    registry: Registry
    channels: Mapping[str, Channel]
    ring: Ring
    public_url: str
    local_callbacks: bool = False
    mailbox: Mailbox = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Put up the mailbox over the database."""
        object.__setattr__(self, "mailbox", Mailbox(self.database))
