"""The wall around each tenant: the database refuses, whatever the code above it does."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fixture_postgres import new_database
from walled_rows import fill_tables

from core.channels.registry import load
from core.roles import APP, BATCH, ENGINE, PLATFORM
from core.schema import classification, missing_walls
from core.walls import TableClass, read_classification, secure, wall_script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fixture_postgres import FreshDatabase

    from core.embedded import EmbeddedDatabase

TABLES = classification(load())
OURS = {name: one for name, one in TABLES.items() if one.wall in ("T", "Tr")}
ENGINES = {name: one for name, one in TABLES.items() if one.wall == "E"}
SECRETS = [
    (name, column)
    for name, one in TABLES.items()
    for column, kind in one.columns.items()
    if kind == "secret"
]
A, B = uuid4(), uuid4()


@asynccontextmanager
async def acting(
    database: FreshDatabase, role: str, *, business: UUID | None = None
) -> AsyncIterator[Any]:
    """Connect as the login, in one role, for one business; nothing is kept."""
    connection = await asyncpg.connect(database.database_url, server_settings={"role": role})
    transaction = connection.transaction()
    await transaction.start()
    try:
        if business is not None:
            one, many = str(business), f"{{{business}}}"
            await connection.execute("SELECT set_config('app.business_id', $1, true)", one)
            await connection.execute("SELECT set_config('app.business_ids', $1, true)", many)
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.fixture(scope="module")
async def two_businesses(postgres: EmbeddedDatabase, migrated_template: str) -> FreshDatabase:
    """Give a database with one row of A and one of B in every table of a business."""
    database = new_database(postgres, "walls", template=migrated_template)
    connection = await asyncpg.connect(database.superuser_url)
    try:
        await fill_tables(connection, OURS, (A, B))
    finally:
        await connection.close()
    return database


async def test_every_table_has_its_wall(migrated_database: FreshDatabase) -> None:
    """All tables are classified, walled by force, and have the policies of their class."""
    async with acting(migrated_database, ENGINE) as connection:
        assert await faults_of_walls(connection, TABLES) == []
        assert await missing_walls(connection, TABLES) == []


async def test_a_table_without_its_wall_is_found(superuser: Any) -> None:
    """The check itself works: each way to lack a wall is seen."""
    await superuser.execute("CREATE TABLE stray (id uuid, business_id uuid)")
    await superuser.execute("ALTER TABLE customer NO FORCE ROW LEVEL SECURITY")
    await superuser.execute("ALTER TABLE decision DISABLE ROW LEVEL SECURITY")
    await superuser.execute("DROP POLICY wall_app ON lane")
    await superuser.execute("ALTER POLICY wall_app ON event USING (true)")
    await superuser.execute("GRANT SELECT ON provider_inbox TO patchbay_app")
    await superuser.execute("CREATE POLICY open ON alert TO patchbay_app USING (true)")
    found = await faults_of_walls(superuser, TABLES)
    named = {fault.partition(":")[0] for fault in found}
    assert named == {"stray", "customer", "decision", "lane", "event", "provider_inbox", "alert"}
    assert await missing_walls(superuser, TABLES) == ["customer", "decision"]


async def test_a_damaged_wall_is_rebuilt(superuser: Any) -> None:
    """`secure` puts back what its mark does not vouch for, and leaves the rest alone."""
    await superuser.execute("DROP POLICY wall_app ON lane; COMMENT ON TABLE lane IS NULL")
    assert await secure(superuser, TABLES) == ["lane"]
    assert await faults_of_walls(superuser, TABLES) == []


@pytest.mark.parametrize("table", sorted(OURS))
async def test_a_business_sees_its_own_rows_only(
    two_businesses: FreshDatabase, table: str
) -> None:
    """In the context of A there is A's row and nothing of B's; without a context, nothing."""
    tenant = OURS[table].tenant
    seen = f"SELECT array_agg({tenant}) FROM {table}"
    for role in (APP, BATCH):
        async with acting(two_businesses, role, business=A) as connection:
            assert await connection.fetchval(seen) == [A]
        async with acting(two_businesses, role) as connection:
            assert await connection.fetchval(seen) is None
    for role in (PLATFORM, ENGINE):
        async with acting(two_businesses, role) as connection:
            assert set(await connection.fetchval(seen)) >= {A, B}


@pytest.mark.parametrize("table", sorted(OURS))
async def test_a_business_cannot_reach_into_another(
    two_businesses: FreshDatabase, table: str
) -> None:
    """Whatever A may write, it changes no row of B, deletes none and hands none over."""
    tenant = OURS[table].tenant
    attempts = (
        f"UPDATE {table} SET {tenant} = {tenant} WHERE {tenant} = $1",
        f"DELETE FROM {table} WHERE {tenant} = $1",
    )
    for attempt in attempts:
        async with acting(two_businesses, APP, business=A) as connection:
            try:
                tag = await connection.execute(attempt, B)
            except asyncpg.InsufficientPrivilegeError:
                continue
            assert tag.endswith(" 0")
    async with acting(two_businesses, APP, business=A) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"INSERT INTO {table} ({tenant}) VALUES ($1)", B)


@pytest.mark.parametrize("table", sorted(ENGINES))
@pytest.mark.parametrize("role", [APP, BATCH, PLATFORM])
async def test_the_engines_tables_refuse_everybody_else(
    two_businesses: FreshDatabase, table: str, role: str
) -> None:
    """What belongs to no business is the engine's alone."""
    async with acting(two_businesses, role, business=A) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT 1 FROM {table}")
    async with acting(two_businesses, ENGINE) as connection:
        await connection.fetch(f"SELECT 1 FROM {table}")


@pytest.mark.parametrize("table", ["consent_event", "audit_log"])
@pytest.mark.parametrize(
    "attempt", ["UPDATE {} SET created_at = created_at", "DELETE FROM {}", "TRUNCATE {}"]
)
async def test_the_ledgers_are_append_only(
    two_businesses: FreshDatabase, table: str, attempt: str
) -> None:
    """Not the engine, not the operators and not even the owner changes a line."""
    for role in (APP, PLATFORM, ENGINE):
        async with acting(two_businesses, role, business=A) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attempt.format(table))
    owner = await asyncpg.connect(two_businesses.superuser_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(attempt.format(table))
    finally:
        await owner.close()


@pytest.mark.parametrize(("table", "column"), SECRETS)
@pytest.mark.parametrize("role", [APP, BATCH, PLATFORM])
async def test_secret_columns_are_the_engines(
    two_businesses: FreshDatabase, table: str, column: str, role: str
) -> None:
    """Tokens, hashes of keys and passwords cannot even be asked for."""
    async with acting(two_businesses, role, business=A) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT {column} FROM {table}")
    async with acting(two_businesses, ENGINE) as connection:
        await connection.fetch(f"SELECT {column} FROM {table}")


def test_the_secrets_of_the_design_are_classified_as_secret() -> None:
    """What opens something is secret, by name: nobody can forget it in the file."""
    assert {
        ("business_whatsapp_config", "access_token_encrypted"),
        ("business_whatsapp_config", "pin_sealed"),
        ("api_key", "secret_hmac"),
        ("app_user", "password"),
    } <= set(SECRETS)


async def test_the_login_may_do_nothing_by_itself(two_businesses: FreshDatabase) -> None:
    """Who forgets to choose a role sees nothing."""
    connection = await asyncpg.connect(two_businesses.database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT 1 FROM public.customer")
    finally:
        await connection.close()


def test_a_copied_channels_file_names_its_own_tables() -> None:
    """`{slug}` in a classification file stands for the folder's name."""
    folder = Path(__file__).parents[2] / "plugins" / "console"
    assert set(read_classification(folder, "board")) == {"board_entry"}


async def faults_of_walls(connection: Any, tables: dict[str, TableClass]) -> list[str]:
    """Compare the walls of all tables with what their classes ask for."""
    found: list[str] = []
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
               coalesce((SELECT array_agg(p.polname || ' ' || pg_get_expr(p.polqual, c.oid))
                         FROM pg_policy p WHERE p.polrelid = c.oid), '{}') AS policies,
               has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                 OR has_table_privilege($1, c.oid, 'DELETE, TRUNCATE, TRIGGER') AS app_may
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND c.relname <> 'migration'
        """,
        APP,
    )
    for row in rows:
        name, table = row["name"], tables.get(row["name"])
        if table is None:
            found.append(f"{name}: nobody classified it")
            continue
        if not row["forced"]:
            found.append(f"{name}: row-level security is not forced")
        wanted = {
            line.split()[2]
            for line in wall_script(name, table).split(";\n")
            if "CREATE POL" in line
        }
        policies = dict(text.split(" ", 1) for text in row["policies"])
        if set(policies) != wanted:
            found.append(f"{name}: has the policies {sorted(policies)}")
        bound = table.using or f"{table.tenant} = "
        if "wall_app" in policies and not _bound(policies["wall_app"], bound):
            found.append(f"{name}: the app's policy is {policies['wall_app']}")
        if table.wall == "E" and row["app_may"]:
            found.append(f"{name}: the app has rights on it")
    return sorted(set(found))


def _bound(policy: str, wanted: str) -> bool:
    """Tell whether a policy, as PostgreSQL writes it, asks what was wanted."""
    return wanted.partition("(")[0].strip("( ").lower() in policy.lower()
