"""The admin on a database of the test's own, copied from one that was filled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio
from admin_world import Site, World, migrate, settle
from fixture_postgres import new_database

from core import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.embedded import EmbeddedDatabase

TEMPLATE = "admin_world"
COPY = "admin_copy"

_worlds: list[World] = []
_sites: list[Site] = []


@pytest_asyncio.fixture(scope="session")
async def world(postgres: EmbeddedDatabase) -> World:
    """Fill the database the tests copy."""
    if not _worlds:  # each folder that imports the fixture would fill one of its own
        database = new_database(postgres, TEMPLATE)
        migrate(database)
        _worlds.append(await settle(database))
    return _worlds[0]


@pytest_asyncio.fixture(scope="session")
async def built_site(world: World, postgres: EmbeddedDatabase) -> Site:
    """Build the admin once: its many routes take a second or two."""
    del world
    if not _sites:
        _sites.append(Site(new_database(postgres, COPY)))
        embedded.drop_database(postgres, COPY)
    return _sites[0]


@pytest_asyncio.fixture
async def site(built_site: Site, postgres: EmbeddedDatabase) -> AsyncIterator[Site]:
    """Run the admin on a fresh copy of the world."""
    new_database(postgres, COPY, template=TEMPLATE)
    async with built_site:
        yield built_site
    embedded.drop_database(postgres, COPY)
