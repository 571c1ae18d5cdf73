"""Keeps the providers' calls; those that arrive together share one commit.

Nobody is answered before the commit. While one is under way the next calls gather, so that a
call that comes alone waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.crashpoint import crashpoint

if TYPE_CHECKING:
    from core.db import Database

_MOST: Final = 128
_MOST_BYTES: Final = 8_000_000


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider, its body sealed."""

    id: UUID
    channel: str
    headers: dict[str, str]
    body_sealed: bytes
    received_at: datetime


class Mailbox:
    """Writes letters in sets.

    Args:
        database: where they are kept.
    """

    __slots__ = ("_database", "_task", "_waiting")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Letter, asyncio.Future[None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def keep(self, letter: Letter) -> None:
        """Keep a letter; it is on the disk when this returns.

        Raises:
            OSError, asyncpg.PostgresError: it could not be kept.
        """
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((letter, kept))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="mailbox")
        await kept

    async def _write(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                await self._insert([letter for letter, _ in batch])
            except Exception as error:  # noqa: BLE001 - whoever waits gets it, and the next go on
                await self._one_by_one(batch, error)
            else:
                for _, kept in batch:
                    _end(kept)

    def _take(self) -> list[tuple[Letter, asyncio.Future[None]]]:
        """Take what came together, within what one statement should carry."""
        batch, size = [self._waiting.popleft()], 0
        while self._waiting and len(batch) < _MOST:
            size += len(self._waiting[0][0].body_sealed)
            if size > _MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _one_by_one(
        self, batch: list[tuple[Letter, asyncio.Future[None]]], error: Exception
    ) -> None:
        """Give each letter of a failed set its own try: one must not cost the others theirs."""
        for letter, kept in batch:
            if len(batch) == 1:
                _end(kept, error)
                continue
            try:
                await self._insert([letter])
            except Exception as own:  # noqa: BLE001 - this one's caller gets it
                _end(kept, own)
            else:
                _end(kept)

    async def _insert(self, letters: list[Letter]) -> None:
        columns: list[list[Any]] = [
            [one.id for one in letters],
            [one.channel for one in letters],
            [one.headers for one in letters],
            [one.body_sealed for one in letters],
            [one.received_at for one in letters],
        ]
        async with self._database.engine() as transaction:
            await transaction.execute(
                """
                INSERT INTO provider_inbox (id, channel, headers, body_sealed, received_at)
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bytea[],
                                     $5::timestamptz[])
                """,
                *columns,
            )
            crashpoint("hook_stored")


def _end(kept: asyncio.Future[None], error: Exception | None = None) -> None:
    """Answer who waits, unless they have hung up."""
    if kept.done():
        return
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)
