"""Opens access tokens, and keeps each open one for a few seconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.errors import CredentialsRejectedError
from core.ids import BusinessId
from plugins.whatsapp.connections import context
from plugins.whatsapp.failures import raised

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Host

KEPT_SECONDS: Final = 5.0
_MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An open token of one number; its version tells whether it is the newest."""

    row: UUID
    version: int
    business_id: BusinessId
    waba_id: str
    token: str = field(repr=False)
    until: float = field(repr=False)


class Credentials:
    """Hands out open tokens by number; a tenant never gets another tenant's.

    Args:
        host: lends the database, the vault and the clock.
    """

    __slots__ = ("_host", "_kept", "_reading")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kept: dict[str, Credential] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def of(self, business_id: BusinessId, account: str) -> Credential:
        """Return the token of a business's number.

        Raises:
            CredentialsRejectedError: this business has no such number, or no token for it.
        """
        kept = self._kept.get(account)
        if kept is None or kept.until < self._host.clock.monotonic():
            # One reader per number: a burst of sends must not become a burst of queries.
            async with self._reading.setdefault(account, asyncio.Lock()):
                kept = self._kept.get(account)
                if kept is None or kept.until < self._host.clock.monotonic():
                    kept = await self._read(account)
        if kept is None or kept.business_id != business_id:
            raise raised("no-connection")
        return kept

    async def newer_than(self, used: Credential, account: str) -> Credential | None:
        """Return the number's token if it was replaced since `used` was handed out."""
        self.forget(account)
        try:
            now = await self.of(used.business_id, account)
        except CredentialsRejectedError:
            return None
        return now if (now.row, now.version) != (used.row, used.version) else None

    def forget(self, account: str) -> None:
        """Drop the open token of one number."""
        self._kept.pop(account, None)

    def forget_all(self) -> None:
        """Drop every open token."""
        self._kept.clear()
        self._reading.clear()

    async def _read(self, account: str) -> Credential | None:
        async with self._host.begin() as transaction:
            row = await transaction.fetchrow(
                "SELECT id, business_id, waba_id, token_version, access_token_encrypted "
                "FROM business_whatsapp_config WHERE phone_number_id = $1",
                account,
            )
        if row is None or row["access_token_encrypted"] is None:
            return None
        business_id = BusinessId(row["business_id"])
        place = context("access_token_encrypted", business_id, row["id"])
        token = self._host.vault.open(bytes(row["access_token_encrypted"]), context=place)
        if len(self._kept) >= _MOST_KEPT:
            self.forget_all()
        credential = Credential(
            row=row["id"],
            version=row["token_version"],
            business_id=business_id,
            waba_id=row["waba_id"],
            token=token.decode(),
            until=self._host.clock.monotonic() + KEPT_SECONDS,
        )
        self._kept[account] = credential
        return credential
