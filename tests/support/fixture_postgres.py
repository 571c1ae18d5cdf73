"""A PostgreSQL of the test run's own: one cluster per session, fresh databases on demand."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core import embedded
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.embedded import EmbeddedDatabase

PREFIX = "patchbay-tests-"


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """One database of the test cluster.

    Attributes:
        name: in the cluster.
        database_url: connects as the login, as the processes do.
        migrations_url: connects as the owner.
        superuser_url: connects as the superuser, to look at everything.
    """

    name: str
    database_url: str
    migrations_url: str
    superuser_url: str


def other_binaries() -> Path | None:
    """Return the PostgreSQL to test with instead of the wheel's, if one is named."""
    named = os.environ.get("PATCHBAY_TEST_PG_BIN")
    return Path(named) if named else None


@pytest.fixture
def cluster_dir() -> Iterator[Path]:
    """Hold a folder for a cluster of the test's own, emptied and its server stopped afterwards."""
    with _cluster_folder() as home:
        yield home


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedDatabase]:
    """Run the session's own PostgreSQL, which forgets at a power cut and is quick for that."""
    _sweep()
    with _cluster_folder() as home:
        yield embedded.start(home, durable=False, binaries=other_binaries())


@pytest.fixture
def fresh_database(postgres: EmbeddedDatabase) -> Iterator[Callable[..., FreshDatabase]]:
    """Make new databases in the session's cluster; dropped after the test.

    Call it as ``fresh_database()`` or ``fresh_database(template="name of a database to copy")``.
    """
    made: list[str] = []

    def make(template: str | None = None) -> FreshDatabase:
        name = f"test_{next(_numbers)}"
        made.append(name)
        return new_database(postgres, name, template=template)

    yield make
    for name in made:
        embedded.drop_database(postgres, name)


def new_database(
    postgres: EmbeddedDatabase, name: str, *, template: str | None = None
) -> FreshDatabase:
    """Make one database; for session fixtures that keep a migrated one to copy from."""
    database_url, migrations_url = embedded.create_database(postgres, name, template=template)
    return FreshDatabase(
        name, database_url, migrations_url, embedded.superuser_url(postgres, name)
    )


_numbers = count(1)


@contextmanager
def _cluster_folder() -> Iterator[Path]:
    # Not pytest's tmp_path: root's is closed to 'nobody', as whom PostgreSQL then runs.
    top = Path(tempfile.mkdtemp(prefix=PREFIX))
    top.chmod(0o711)
    # In use for as long as the lock is held; the name appears with the lock already on it.
    with (top / "in-use.new").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (top / "in-use.new").rename(top / "in-use")
        try:
            yield top / "cluster"
        finally:
            embedded.reset(top / "cluster")
            shutil.rmtree(top)


def _sweep() -> None:
    """Stop the clusters of test runs that were killed before they could do it."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/in-use"):
        try:
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                embedded.reset(lock.parent / "cluster")
                shutil.rmtree(lock.parent)
        except (OSError, ConfigurationError):
            continue  # in use, somebody else's, or being swept right now
