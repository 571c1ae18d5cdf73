"""What a process needs around it: database addresses, queue and keys.

With a database address in the settings nothing is started and no file is written. Without one,
the embedded PostgreSQL is started, or attached to when it already runs, and the key ring of a
first run is kept beside its data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.crashpoint import arm
from core.keyring import development_keys

if TYPE_CHECKING:
    from core.embedded import EmbeddedDatabase
    from core.keyring import SecretKey
    from core.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where this process finds what it needs.

    Attributes:
        database_url: for pools that choose a role.
        migrations_url: the owner's address, for migrations only.
        queue_url: SAQ's queue: Redis, or the database server itself.
        embedded: the embedded server, if that is where the data is.
    """

    database_url: str = field(repr=False)
    migrations_url: str = field(repr=False)
    queue_url: str = field(repr=False)
    secret_keys: tuple[SecretKey, ...] = field(repr=False)
    embedded: EmbeddedDatabase | None = None

    def release(self) -> None:
        """Stop the embedded server if this process started it."""
        if self.embedded is not None and self.embedded.started:
            from core import embedded  # noqa: PLC0415 - a process with a server of its own spares it

            embedded.stop(self.embedded)


def prepare(settings: Settings) -> Deployment:
    """Find, or start, what the settings ask for.

    Raises:
        ConfigurationError: the embedded database cannot run here.
    """
    arm(settings.crashpoint)
    if settings.database_url is not None:
        return Deployment(
            database_url=settings.database_url,
            migrations_url=settings.migrations_database_url or settings.database_url,
            queue_url=settings.queue_url or settings.database_url,
            secret_keys=settings.secret_keys,
        )
    from core import embedded  # noqa: PLC0415 - brings psycopg along, for a first run only

    server = embedded.start(settings.data_dir, project=PROJECT)
    return Deployment(
        database_url=server.database_url,
        migrations_url=server.migrations_url,
        queue_url=settings.queue_url or server.database_url,
        secret_keys=settings.secret_keys or development_keys(server.data_dir),
        embedded=server,
    )
