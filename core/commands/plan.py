"""What `patchbay migrate` would do to a database, found out without changing it."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from core.errors import ConfigurationError
from core.roles import GROUPS, LOGIN, database_statements, role_statements

if TYPE_CHECKING:
    from core.deployment import Deployment


class Pending(msgspec.Struct, frozen=True):
    """One migration that has not run."""

    app: str
    id: str
    description: str


class Plan(msgspec.Struct, frozen=True):
    """What would run.

    Attributes:
        migrations: in the order they would run.
        roles_sql: statements that make the roles, empty where they stand.
        may_make_roles: whether the account of migrations may run them itself.
    """

    migrations: list[Pending]
    roles_sql: list[str]
    may_make_roles: bool


async def make_plan(deployment: Deployment) -> Plan:
    """Compare the database with the code.

    Raises:
        ConfigurationError: the database cannot be reached.
    """
    import asyncpg

    try:
        connection = await asyncpg.connect(deployment.migrations_url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"The database cannot be reached: {error}.") from error
    try:
        async with connection.transaction(readonly=True):
            roles_sql, may = await _roles(connection, deployment)
            return Plan(await _pending(connection), roles_sql, may)
    finally:
        await connection.close()


def plan_words(plan: Plan) -> str:
    """Say a plan to a person."""
    lines = [f"{one.app}  {one.id}  {one.description}" for one in plan.migrations]
    lines = ["Would run:", *(f"  {line}" for line in lines)] if lines else ["No migration waits."]
    if plan.roles_sql:
        who = (
            "Would make the database roles:"
            if plan.may_make_roles
            else "This account may not make database roles. Let an administrator run this once:"
        )
        lines += ["", who, *(f"{statement};" for statement in plan.roles_sql)]
    return "\n".join(lines)


async def _roles(connection: Any, deployment: Deployment) -> tuple[list[str], bool]:
    login = unquote(urlsplit(deployment.database_url).username or LOGIN)
    row = await connection.fetchrow(
        """
        SELECT session_user AS owner, current_database() AS base,
               (SELECT rolsuper OR rolcreaterole FROM pg_roles
                WHERE rolname = session_user) AS may,
               (SELECT count(*) FROM pg_roles g JOIN pg_auth_members m ON m.roleid = g.oid
                JOIN pg_roles l ON l.oid = m.member
                WHERE l.rolname = $1 AND g.rolname = ANY ($2)
                  AND has_schema_privilege(g.rolname, 'public', 'USAGE')) AS there
        """,
        login,
        list(GROUPS),
    )
    if row["there"] == len(GROUPS):
        return [], bool(row["may"])
    owner = row["owner"]
    script = [*role_statements(owner, login), *database_statements(row["base"], owner, login)]
    return script, bool(row["may"])


async def _pending(connection: Any) -> list[Pending]:
    from piccolo.apps.migrations.commands.base import BaseMigrationManager

    ran: set[tuple[str, str]] = set()
    if await connection.fetchval("SELECT to_regclass('public.migration')"):
        rows = await connection.fetch("SELECT app_name, name FROM migration")
        ran = {(row["app_name"], row["name"]) for row in rows}
    finder = BaseMigrationManager()
    waiting: list[Pending] = []
    for app in finder.get_sorted_app_names():
        folder = finder.get_app_config(app).resolved_migrations_folder_path
        modules = finder.get_migration_modules(folder)
        waiting += [
            Pending(app, one, getattr(modules[one], "DESCRIPTION", ""))
            for one in sorted(modules)
            if (app, one) not in ran
        ]
    return waiting
