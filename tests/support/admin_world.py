"""Two businesses, their people and their messages, in a database of its own, behind the admin."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import asyncpg
import httpx
from admin_rows import House, add_house
from litestar import Litestar

from admin.site import AdminSite
from core.access import users
from core.access.tables import Role
from core.channels.registry import load
from core.clock import SystemClock
from core.db import Database, PoolSizes
from core.ids import BusinessId
from core.notify.hosting import Supplies, open_channels
from core.notify.outgoing import open_client
from core.notify.services import Services
from core.settings import read_settings
from core.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from fixture_postgres import FreshDatabase

    from core.channels.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a long enough password"
KEYS = "one:" + base64.b64encode(hashlib.sha256(b"a key for tests").digest()).decode()
_MIGRATE = """
import asyncio
from core.channels.registry import load
from core.deployment import prepare
from core.schema import migrate
from core.settings import read_settings
settings = read_settings()
report = asyncio.run(migrate(prepare(settings), load()))
assert not report.failed, report.failed
"""


@dataclass
class World:
    """What the template database holds."""

    a: House
    b: House


def environment(database: FreshDatabase) -> dict[str, str]:
    """Return the settings of a process on this database."""
    return {
        "PATCHBAY_DATABASE_URL": database.database_url,
        "PATCHBAY_MIGRATIONS_DATABASE_URL": database.migrations_url,
        "PATCHBAY_SECRET_KEYS": KEYS,
        "PATCHBAY_CHANNELS": "console,whatsapp",
    }


def migrate(database: FreshDatabase) -> None:
    """Bring a database up to date in a process of its own, as `patchbay migrate` does."""
    subprocess.run(
        [sys.executable, "-c", _MIGRATE],
        check=True,
        cwd=ROOT,
        env={**os.environ, **environment(database)},
        capture_output=True,
        text=True,
        timeout=120,
    )


async def settle(database: FreshDatabase) -> World:
    """Fill a migrated database."""
    vault = Vault(read_settings(environment(database)).secret_keys)
    connection = await asyncpg.connect(database.superuser_url)
    try:
        world = World(
            a=await add_house(connection, vault, "Salone Aurora", "Europe/Rome"),
            b=await add_house(connection, vault, "Padel Club Nord", "Europe/Rome"),
        )
    finally:
        await connection.close()
    pools = Database(database.database_url, PoolSizes(app=1, batch=0, platform=0, engine=2))
    await pools.open()
    try:
        await asyncio.gather(
            _person(pools, "owner_a", (Role.OWNER, world.a.id)),
            _person(pools, "owner_b", (Role.OWNER, world.b.id)),
            _person(pools, "viewer_a", (Role.VIEWER, world.a.id)),
            _person(pools, "operator", (Role.PLATFORM_OPERATOR, None)),
            _person(pools, "both", (Role.MANAGER, world.a.id), (Role.VIEWER, world.b.id)),
            _person(pools, "nobody"),
        )
    finally:
        await pools.close()
    return world


class Site:
    """The admin on one database, as a process would run it."""

    def __init__(
        self, database: FreshDatabase, registry: Registry | None = None, **changes: str
    ) -> None:
        self.database = database
        self.settings = read_settings({**environment(database), **changes})
        self.http = open_client(2)
        self.pools = Database(database.database_url, PoolSizes(app=3, batch=1, platform=2))
        vault = Vault(self.settings.secret_keys)
        supplies = Supplies(
            settings=self.settings,
            database=self.pools,
            vault=vault,
            clock=SystemClock(),
            http=self.http,
            enqueue=_enqueue,
        )
        registry = registry or load((), self.settings.channels)
        self.opened = open_channels(supplies, registry)
        self.services = Services(
            clock=supplies.clock,
            database=self.pools,
            vault=vault,
            registry=registry,
            channels=self.opened.channels,
            ring=_Silence(),
            public_url=self.settings.public_url,
        )
        self.admin = AdminSite(self.services, self.settings, database.database_url)
        self.address = self.settings.public_url
        self.app = Litestar(route_handlers=self.admin.handlers, openapi_config=None)

    async def __aenter__(self) -> Self:
        """Open the pools."""
        await self.pools.open()
        await self.admin.open()
        self.superuser = await asyncpg.connect(self.database.superuser_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        await self.superuser.close()
        await self.admin.close()
        await self.opened.close()
        await self.http.aclose()
        await self.pools.close()

    def browser(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client that keeps cookies."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=self.address)

    async def sign_in(self, username: str) -> httpx.AsyncClient:
        """Return a browser in which this person has signed in."""
        browser = self.browser()
        await open_admin(browser)
        answer = await try_password(browser, username, PASSWORD)
        assert answer.status_code == 200, answer.text
        return browser


async def open_admin(browser: httpx.AsyncClient) -> None:
    """Load the admin's page, which hands out the token against forged forms."""
    assert (await browser.get("/admin/")).status_code == 200
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]


async def try_password(browser: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    """Send a name and a password."""
    return await browser.post(
        "/admin/public/login/", json={"username": username, "password": password}
    )


async def _enqueue(task: str, /, **arguments: str) -> None:
    raise AssertionError(f"no task is queued here: {task} {arguments}")


class _Silence:
    """Rings nobody: there is no worker in these tests."""

    def lanes(self, keys: Iterable[tuple[UUID, str]]) -> None:
        """Ring nobody."""

    def inbox(self) -> None:
        """Ring nobody."""


async def _person(pools: Database, name: str, *held: tuple[Role, UUID | None]) -> None:
    user = await users.create_user(
        pools, username=name, password=PASSWORD, email=f"{name}@example.com"
    )
    for role, business in held:
        await users.add_membership(pools, user, role, BusinessId(business) if business else None)
