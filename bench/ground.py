"""A migrated database of the benchmark's own, and the parts of a process on it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from core import embedded, schema
from core.channels.registry import load
from core.clock import SystemClock
from core.db import Database, PoolSizes
from core.deployment import prepare
from core.notify.services import Services
from core.settings import read_settings
from core.vault import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path
    from uuid import UUID

    from core.deployment import Deployment


class SilentRing:
    """Rings nothing: the benchmark claims by itself."""

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Do nothing."""

    def inbox(self) -> None:
        """Do nothing."""


@contextmanager
def prepared_database(home: Path) -> Iterator[Deployment]:
    """Start an embedded PostgreSQL with fsync on, migrate it, and delete it afterwards."""
    os.environ["PATCHBAY_DATA_DIR"] = str(home)
    os.environ["PATCHBAY_CHANNELS"] = "console"
    deployment = prepare(read_settings())
    try:
        registry = load((), ("console",))
        asyncio.run(schema.migrate(deployment, registry))
        yield deployment
    finally:
        deployment.release()
        embedded.reset(home)


@asynccontextmanager
async def open_services(deployment: Deployment) -> AsyncIterator[Services]:
    """Build the parts of a process with the console channel's plugin and no sender."""
    database = Database(deployment.database_url, PoolSizes())
    await database.open()
    registry = load((), ("console",))
    try:
        yield Services(
            clock=SystemClock(),
            database=database,
            vault=Vault(deployment.secret_keys),
            registry=registry,
            channels={"console": object()},  # type: ignore[dict-item]  # nothing is sent here
            ring=SilentRing(),
            public_url="http://127.0.0.1",
        )
    finally:
        await database.close()
