"""The admin on a database of the test's own, copied from one that was filled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from admin_world import Site, World, migrate, settle
from fixture_postgres import new_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fixture_postgres import FreshDatabase

    from core.embedded import EmbeddedDatabase

TEMPLATE = "admin_world"


@pytest_asyncio.fixture(scope="session")
async def world(postgres: EmbeddedDatabase) -> World:
    """Fill the database the tests copy."""
    database = new_database(postgres, TEMPLATE)
    migrate(database)
    return await settle(database)


@pytest_asyncio.fixture
async def site(world: World, fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Site]:
    """Run the admin on a copy."""
    del world
    async with Site(fresh_database(template=TEMPLATE)) as site:
        yield site


@pytest.fixture
def tables() -> str:
    """Return where the admin's tables are served."""
    return "/admin/api/tables"
