"""A migrated database to copy from, and the parts of a process to call the core with."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from fixture_postgres import new_database

from core.businesses.store import BusinessIn
from core.businesses.store import add_business as make_business
from core.channels.registry import load
from core.clock import SystemClock
from core.db import Database, PoolSizes
from core.keyring import SecretKey
from core.notify.services import Services
from core.secret import Secret
from core.vault import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from uuid import UUID

    from fixture_postgres import FreshDatabase

    from core.businesses.store import BusinessRow
    from core.embedded import EmbeddedDatabase

ROOT = Path(__file__).parents[2]
TEST_KEYS = "test:VQ+Z7oI7uoZ0Yl9hJ3i4r1nyPZ3mD3vq5uKo3s0Jw9k="
"""The key ring of tests, as the environment holds it."""


def process_environment(database: FreshDatabase, **more: str) -> dict[str, str]:
    """Return the environment of one of the product's processes on a test database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    return kept | {
        "PATCHBAY_ENV": "test",
        "PATCHBAY_DATABASE_URL": database.database_url,
        "PATCHBAY_MIGRATIONS_DATABASE_URL": database.migrations_url,
        "PATCHBAY_SECRET_KEYS": TEST_KEYS,
        **more,
    }


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedDatabase) -> str:
    """Migrate one database in a process of its own; tests copy it."""
    database = new_database(postgres, "migrated")
    subprocess.run(
        [sys.executable, "-m", "core.cli", "migrate"],
        check=True,
        env=process_environment(database),
        timeout=120,
        capture_output=True,
        cwd=ROOT,
    )
    return database.name


@pytest.fixture
def migrated_database(
    migrated_template: str, fresh_database: Callable[..., FreshDatabase]
) -> FreshDatabase:
    """Give the test a migrated database of its own."""
    return fresh_database(template=migrated_template)


@pytest.fixture
async def superuser(migrated_database: FreshDatabase) -> AsyncIterator[Any]:
    """Look at the test's database without any wall; sees and may do everything."""
    connection = await asyncpg.connect(migrated_database.superuser_url)
    yield connection
    await connection.close()


@dataclass
class QuietRing:
    """A ring that rings nothing and remembers what it was asked to."""

    woken: list[tuple[UUID, str]] = field(default_factory=list)
    inbox_rung: int = 0

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Remember the lanes."""
        self.woken += keys

    def inbox(self) -> None:
        """Count."""
        self.inbox_rung += 1


@pytest.fixture
def test_vault() -> Vault:
    """Give the vault of the tests' key ring."""
    key_id, _, encoded = TEST_KEYS.partition(":")
    return Vault((SecretKey(key_id, Secret(encoded)),))


@pytest.fixture
async def services(migrated_database: FreshDatabase, test_vault: Vault) -> AsyncIterator[Services]:
    """Build the parts of a process without channels; tests add their own scripted one."""
    database = Database(migrated_database.database_url, PoolSizes())
    await database.open()
    yield Services(
        clock=SystemClock(),
        database=database,
        vault=test_vault,
        registry=load(only=()),
        channels={},
        ring=QuietRing(),
        public_url="http://127.0.0.1:8000",
    )
    await database.close()


@pytest.fixture
def add_business(services: Services) -> Callable[..., Any]:
    """Return a function that makes businesses of this database."""

    async def add(ref: str = "salon-a", **fields: str) -> BusinessRow:
        told = BusinessIn(
            name=fields.get("name", f"Salon {ref}"),
            timezone=fields.get("timezone", "Europe/Rome"),
            country=fields.get("country", "IT"),
            default_locale=fields.get("default_locale", "en"),
        )
        async with services.database.platform() as transaction:
            business = await make_business(
                transaction, ref, told, mode="live", now=services.clock.now()
            )
        assert business is not None
        return business

    return add
