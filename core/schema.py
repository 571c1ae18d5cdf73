"""Brings a database to the state this code needs: roles, tables, walls, the queue's schema.

Everything runs under one advisory lock, so that racing starters wait for each other; the core's
migrations and its walls are one transaction, and so are each plugin's. A plugin whose migration
fails is left out and named; the others go on.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg
from piccolo.engine import engine_finder

from core.errors import ConfigurationError
from core.roles import (
    GROUPS,
    LOGIN,
    database_statements,
    queue_schema_statements,
    role_statements,
)
from core.walls import check_columns, read_classification, secure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.registry import Registry
    from core.deployment import Deployment
    from core.walls import TableClass

_LOCK: Final = 781_001
_FOLDER: Final = Path(__file__).parent


@dataclass(slots=True)
class Report:
    """What a migration run did.

    Attributes:
        ran: per app, how Piccolo put it.
        walls: tables whose wall was built anew.
        failed: plugins that were left out, and why.
    """

    ran: dict[str, str] = field(default_factory=dict)
    walls: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def classification(registry: Registry) -> dict[str, TableClass]:
    """Return the classes of all tables of the core and of the loaded plugins."""
    tables = read_classification(_FOLDER)
    for slug in registry.plugins:
        tables |= plugin_classification(registry, slug)
    return tables


def plugin_classification(registry: Registry, slug: str) -> dict[str, TableClass]:
    """Return the classes of one plugin's tables."""
    module = import_module(registry.packages[slug])
    return read_classification(Path(str(module.__file__)).parent, slug)


async def migrate(deployment: Deployment, registry: Registry) -> Report:
    """Make or check roles, run every migration, build the walls, prepare the queue.

    Raises:
        ConfigurationError: the core's own part failed; holds the SQL to run by hand where the
            account may not make roles.
    """
    report = Report()
    await _ensure_roles(deployment)
    await _migrate_one(report, "core", read_classification(_FOLDER))
    for slug in list(registry.plugins):
        app = _piccolo_app(registry, slug)
        try:
            tables = plugin_classification(registry, slug)
            if app is not None:
                await _migrate_one(report, app, tables)
        except Exception as error:  # noqa: BLE001 - a plugin's migration may raise anything
            reason = f"migration failed: {type(error).__name__}: {error}".splitlines()[0]
            registry.fail(slug, reason)
            report.failed[slug] = reason
    await _make_queue_schema(deployment)
    return report


async def missing_walls(transaction: Any, tables: dict[str, TableClass]) -> list[str]:
    """Return the tables that do not exist or stand without their wall; for the start-up check."""
    rows = await transaction.fetch(
        """
        SELECT n.name, c.oid IS NOT NULL AND c.relrowsecurity AND c.relforcerowsecurity AS walled
        FROM unnest($1::text[]) AS n(name)
        LEFT JOIN pg_class c ON c.oid = to_regclass(n.name)
        """,
        list(tables),
    )
    return sorted(row["name"] for row in rows if not row["walled"])


def _piccolo_app(registry: Registry, slug: str) -> str | None:
    """Return the Piccolo app name of a plugin with tables; it must be the plugin's slug."""
    package = registry.packages[slug]
    folder = Path(str(import_module(package).__file__)).parent
    if not (folder / "piccolo_app.py").is_file():
        return None
    config = import_module(f"{package}.piccolo_app").APP_CONFIG
    if config.app_name != slug:
        raise ConfigurationError(f"the Piccolo app of {slug} calls itself {config.app_name!r}")
    return slug


async def _migrate_one(report: Report, app: str, tables: dict[str, TableClass]) -> None:
    # Brings a code formatter along, which only who migrates should pay for.
    from piccolo.apps.migrations.commands.forwards import run_forwards  # noqa: PLC0415

    engine: Any = engine_finder()
    said = io.StringIO()
    async with engine.transaction() as transaction:
        await transaction.connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        with contextlib.redirect_stdout(said):
            result = await run_forwards(app)
        if not result.success:
            raise ConfigurationError(f"The migrations of {app} failed: {result.message}")
        await check_columns(transaction.connection, tables)
        report.walls += await secure(transaction.connection, tables)
    report.ran[app] = next(
        (line.strip() for line in reversed(said.getvalue().splitlines()) if line.strip()), "done"
    )


async def _ensure_roles(deployment: Deployment) -> None:
    connection = await _connect(deployment.migrations_url)
    try:
        login = _user_of(deployment.database_url)
        owner = await connection.fetchval("SELECT session_user")
        database = await connection.fetchval("SELECT current_database()")
        if await _roles_stand(connection, login):
            return
        script = [*role_statements(owner, login), *database_statements(database, owner, login)]
        try:
            async with connection.transaction():
                for statement in script:
                    await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(_by_hand(script, str(owner))) from error
    finally:
        await connection.close()


def _by_hand(script: Sequence[str], owner: str) -> str:
    listed = ";\n".join(script)
    return (
        f"The account {owner} may not make database roles. Let an administrator of the server "
        f"run this once, then run `patchbay migrate` again:\n\n{listed};"
    )


async def _roles_stand(connection: Any, login: str) -> bool:
    return bool(
        await connection.fetchval(
            """
            SELECT count(*) = $2 FROM pg_roles g JOIN pg_auth_members m ON m.roleid = g.oid
            JOIN pg_roles l ON l.oid = m.member
            WHERE l.rolname = $1 AND g.rolname = ANY ($3)
              AND has_schema_privilege(g.rolname, 'public', 'USAGE')
            """,
            login,
            len(GROUPS),
            list(GROUPS),
        )
    )


async def _make_queue_schema(deployment: Deployment) -> None:
    """Give SAQ a schema of its own in the database; it makes its tables by itself."""
    if not deployment.queue_url.startswith("postgres"):
        return
    connection = await _connect(deployment.migrations_url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            for statement in queue_schema_statements(_user_of(deployment.database_url)):
                await connection.execute(statement)
    finally:
        await connection.close()


async def _connect(url: str) -> Any:
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"The database cannot be reached: {error}.") from error


def _user_of(url: str) -> str:
    return unquote(urlsplit(url).username or LOGIN)
