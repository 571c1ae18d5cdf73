"""Finds channels whose folder is gone and whose tables are still there."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ConfigurationError

if TYPE_CHECKING:
    from core.channels.registry import Registry
    from core.settings import Settings

_CORE = "core"


async def removed_channels(settings: Settings, registry: Registry) -> dict[str, list[str]]:
    """Return slug -> tables of the channels that were migrated once and are not found any more.

    A database that was never begun is not begun for this.

    Raises:
        ConfigurationError: the database cannot be asked.
    """
    import asyncpg

    from core.deployment import PROJECT, prepare
    from core.embedded import default_data_dir

    if settings.database_url is None:
        home = (settings.data_dir or default_data_dir(PROJECT)).expanduser()
        if not (home / "postgres" / "PG_VERSION").exists():
            return {}
    deployment = prepare(settings)
    try:
        connection = await asyncpg.connect(deployment.migrations_url, timeout=10)
        try:
            return await _removed(connection, registry)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"{error}.") from error
    finally:
        deployment.release()


async def _removed(connection: object, registry: Registry) -> dict[str, list[str]]:
    from core.schema import classification

    ask = connection.fetch  # type: ignore[attr-defined]  # asyncpg has no types
    if not (await ask("SELECT to_regclass('public.migration') AS there"))[0]["there"]:
        return {}
    migrated = [row["app_name"] for row in await ask("SELECT DISTINCT app_name FROM migration")]
    gone = sorted(set(migrated) - {_CORE, *registry.states})
    known = list(classification(registry))
    rows = await ask(
        """
        SELECT s.slug, t.tablename FROM unnest($1::text[]) AS s(slug)
        JOIN pg_tables t ON t.schemaname = 'public'
         AND (starts_with(t.tablename, s.slug || '_')
              OR starts_with(t.tablename, 'business_' || s.slug || '_'))
        WHERE t.tablename <> ALL ($2) ORDER BY 1, 2
        """,
        gone,
        known,
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["slug"], []).append(row["tablename"])
    return found
