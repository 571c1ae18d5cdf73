"""What a measure stands on: a migrated database, processes of the product, the provider."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from bench.figures import Meter
from bench.usage import postmaster
from core import embedded
from core.channels.registry import load
from core.clock import SystemClock
from core.db import Database, PoolSizes
from core.deployment import prepare
from core.embedded_machine import free_port
from core.notify.services import Services
from core.settings import read_settings
from core.vault import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from uuid import UUID

CHANNEL: Final = "whatsapp"
APP_SECRET: Final = "bench-app-secret"  # noqa: S105 - signs what the benchmark sends to itself
ROOT: Final = Path(__file__).resolve().parent.parent

_BUFFERS: Final = "1GB"
_START_SECONDS: Final = 30.0


class SilentRing:
    """Rings nothing: the measures claim and apply by themselves."""

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Do nothing."""

    def inbox(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a measure takes place.

    Attributes:
        environment: of the product's processes, with database and keys.
        superuser_url: fills and looks without walls.
        folder: for journals and logs.
        server: PostgreSQL's first process; 0 where its processor time is not ours to count.
    """

    environment: Mapping[str, str] = field(repr=False)
    superuser_url: str = field(repr=False)
    folder: Path
    server: int = 0

    def vault(self) -> Vault:
        """Return the vault of the processes."""
        settings = read_settings(self.environment)
        return Vault(settings.secret_keys, index_key=settings.index_key)

    def meter(self, own: int = 0) -> Meter:
        """Return a meter of a process, of this one by default."""
        return Meter(own or os.getpid(), self.server)

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[Any]:
        """Open a connection that sees and may do everything."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def services(self, channels: Mapping[str, Any] | None = None) -> AsyncIterator[Services]:
        """Build the parts of a process, with channels that the measure made or none."""
        database = Database(self.environment["PATCHBAY_DATABASE_URL"], PoolSizes())
        await database.open()
        try:
            yield Services(
                clock=SystemClock(),
                database=database,
                vault=self.vault(),
                registry=load((), (CHANNEL,)),
                channels=dict(channels or {}),
                ring=SilentRing(),
                public_url="http://127.0.0.1",
            )
        finally:
            await database.close()

    @asynccontextmanager
    async def process(self, ready: str, *command: str, **more: str) -> AsyncIterator[int]:
        """Run `python ...` until its log holds a word; gives its process id, stops it afterwards.

        Raises:
            RuntimeError: it ended, or was not ready in time; with the end of its log.
        """
        log = self.folder / f"{command[-1]}-{free_port()}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own programs, waited for below
                [sys.executable, *command],
                cwd=ROOT,
                env={**self.environment, **more},
                stdout=file,
                stderr=file,
            )
        try:
            ends_at = time.monotonic() + _START_SECONDS
            while ready and ready not in log.read_text():
                if process.poll() is not None or time.monotonic() > ends_at:
                    raise RuntimeError(f"{command}: {log.read_text()[-2000:]}")
                await asyncio.sleep(0.05)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, 30)
            finally:
                process.kill()
                process.wait()


@contextmanager
def prepared_ground(folder: Path) -> Iterator[Ground]:
    """Start an embedded PostgreSQL with fsync on, migrate it, and delete it afterwards."""
    home = folder / "cluster"
    # Whatever this machine is set up for, the measures bring their own.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    settings = read_settings(kept | {"PATCHBAY_DATA_DIR": str(home), "PATCHBAY_CHANNELS": CHANNEL})
    deployment = prepare(settings)
    try:
        asyncio.run(_enlarge(deployment))
        deployment.release()
        deployment = prepare(settings)
        keys = ",".join(f"{key.id}:{key.encoded.reveal()}" for key in deployment.secret_keys)
        environment = kept | {
            "PATCHBAY_CHANNELS": CHANNEL,
            "PATCHBAY_DATABASE_URL": deployment.database_url,
            "PATCHBAY_MIGRATIONS_DATABASE_URL": deployment.migrations_url,
            "PATCHBAY_SECRET_KEYS": keys,
            "PATCHBAY_WHATSAPP_APP_SECRET": APP_SECRET,
        }
        migrate = [sys.executable, "-m", "core.cli", "migrate"]
        subprocess.run(  # noqa: S603 - our own program
            migrate, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        yield Ground(
            environment=environment,
            superuser_url=_superuser_url(deployment),
            folder=folder,
            server=postmaster(home / "postgres"),
        )
    finally:
        deployment.release()
        embedded.reset(home)


async def _enlarge(deployment: Any) -> None:
    """Give PostgreSQL the memory that a server of its own has, not a first run's."""
    connection = await asyncpg.connect(_superuser_url(deployment))
    await connection.execute(f"ALTER SYSTEM SET shared_buffers = '{_BUFFERS}'")
    await connection.close()


def _superuser_url(deployment: Any) -> str:
    if deployment.embedded is None:
        raise AssertionError("the benchmark brings its own database")
    return embedded.superuser_url(deployment.embedded)
