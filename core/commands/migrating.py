"""`patchbay migrate`: brings the database to the state this code needs."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from core.commands.frame import example, fail, json_option, read_surroundings, show
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.channels.registry import Registry
    from core.deployment import Deployment
    from core.schema import Report

_LOCK: Final = 781_010
"""Held over the whole run; the steps inside take a lock of their own."""


@click.command(epilog=example("patchbay migrate --plan", "patchbay migrate"))
@click.option("--plan", "only_plan", is_flag=True, help="Say what would run, and change nothing.")
@json_option
def migrate(only_plan: bool, as_json: bool) -> None:
    """Make roles, tables and walls as this version and its channels need them.

    Safe to repeat, and safe to start twice: the second one waits for the first.
    """
    from core.commands.plan import make_plan, plan_words
    from core.deployment import prepare

    settings, registry = read_surroundings()
    deployment = prepare(settings)
    try:
        if only_plan:
            plan = asyncio.run(make_plan(deployment))
            show(plan, as_json=as_json, words=plan_words(plan))
            return
        report = asyncio.run(_migrate(deployment, registry))
    finally:
        deployment.release()
    ran = {app: _plain(said) for app, said in report.ran.items()}
    answer = {"ran": ran, "walls": report.walls, "failed": report.failed}
    show(answer, as_json=as_json, words=_words(report))
    if report.failed:
        fail()


async def _migrate(deployment: Deployment, registry: Registry) -> Report:
    from core.schema import migrate as run_migrations
    from tasks.queue import prepare_queue

    async with _one_at_a_time(deployment):
        report = await run_migrations(deployment, registry)
        await prepare_queue(deployment.queue_url)
    return report


@asynccontextmanager
async def _one_at_a_time(deployment: Deployment) -> AsyncIterator[None]:
    import asyncpg

    try:
        connection = await asyncpg.connect(deployment.migrations_url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"The database cannot be reached: {error}.") from error
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            click.echo("Another migration is under way; waiting for it.", err=True)
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        yield
    finally:
        await connection.close()


def _words(report: Report) -> str:
    lines = [f"{app}: {_plain(said)}" for app, said in report.ran.items()]
    if report.walls:
        lines.append(f"Walls built: {', '.join(report.walls)}")
    lines += [f"FAILED {slug}: {reason}" for slug, reason in report.failed.items()]
    return "\n".join([*lines, "The database is ready."])


def _plain(said: Any) -> str:
    """Leave out the pictures that Piccolo puts before its words."""
    text = str(said).encode("ascii", "ignore").decode().strip()
    return "migrated" if text.startswith(("ok", "- ")) else text
