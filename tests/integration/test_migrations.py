"""Migrations: seen by Piccolo's own tools, repeatable, reversible, and safe to start twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
from fixture_house import process_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_postgres import FreshDatabase

ROOT = Path(__file__).parents[2]
PICCOLO = "import sys; from piccolo.main import main; sys.argv[0] = 'piccolo'; main()"
PATCHBAY = "import sys; from core.cli import main; sys.exit(main())"
APPS = ("core", "console", "whatsapp")


def run(
    program: str, *arguments: str, database: FreshDatabase, check: bool = True, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the project from its root, as a person would."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=process_environment(database, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


async def ask(database: FreshDatabase, query: str, *arguments: Any) -> list[Any]:
    """Return rows, as the superuser sees them."""
    connection = await asyncpg.connect(database.superuser_url)
    try:
        return [row[0] for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def tables(database: FreshDatabase) -> set[str]:
    """Return the names of the tables."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return set(await ask(database, query))


@pytest.fixture
def empty(fresh_database: Callable[..., FreshDatabase]) -> FreshDatabase:
    """Give a database that nobody has migrated."""
    return fresh_database()


@pytest.fixture
async def filled(migrated_database: FreshDatabase) -> FreshDatabase:
    """Give a migrated database with a business and one row of a channel."""
    await ask(migrated_database, "INSERT INTO business (ref, name) VALUES ('a', 'A')")
    await ask(
        migrated_database,
        "INSERT INTO console_entry (id, business_id, notification_id, template, language) "
        "SELECT $1, id, $1, 'booking_confirmed', 'en' FROM business",
        uuid4(),
    )
    return migrated_database


def ran(check_output: str) -> dict[str, set[str]]:
    """Read `piccolo migrations check`: app -> the words in its last column."""
    found: dict[str, set[str]] = {}
    for line in check_output.splitlines()[2:]:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 4:
            found.setdefault(cells[0], set()).add(cells[3])
    return found


async def test_piccolos_own_tools_see_the_core_and_every_channel(empty: FreshDatabase) -> None:
    """`piccolo migrations check` and `forwards all`, run from the root, find all apps."""
    before = run(PICCOLO, "migrations", "check", database=empty).stdout
    assert ran(before) == {app: {"False"} for app in APPS}
    run(PICCOLO, "migrations", "forwards", "all", database=empty)
    after = run(PICCOLO, "migrations", "check", database=empty).stdout
    assert ran(after) == {app: {"True"} for app in APPS}
    assert {"business", "notification_outbox", "console_entry", "whatsapp_templates"} <= (
        await tables(empty)
    )


async def test_a_switched_off_channel_has_no_tables(empty: FreshDatabase) -> None:
    """What is not enabled is not migrated."""
    run(PICCOLO, "migrations", "forwards", "all", database=empty, PATCHBAY_CHANNELS="console")
    made = await tables(empty)
    assert "console_entry" in made
    assert "whatsapp_templates" not in made


async def test_up_down_and_up_again_with_data(filled: FreshDatabase) -> None:
    """A database with rows in it goes down to nothing and comes up whole, walls included."""
    first = await tables(filled)
    run(PICCOLO, "migrations", "backwards", "all", "--auto_agree", database=filled)
    assert await tables(filled) == {"migration"}
    assert await ask(filled, "SELECT name FROM migration") == []
    again = json.loads(run(PATCHBAY, "migrate", "--json", database=filled).stdout)
    assert await tables(filled) == first
    assert set(again["walls"]) == first - {"migration"}
    assert await ask(filled, "SELECT count(*) FROM business") == [0]


@pytest.mark.parametrize("app", ["console", "whatsapp"])
async def test_a_channel_goes_down_and_up_alone(filled: FreshDatabase, app: str) -> None:
    """Taking a channel's tables back touches nobody else's rows."""
    before = await tables(filled)
    run(PICCOLO, "migrations", "backwards", app, "all", "--auto_agree", database=filled)
    gone = before - await tables(filled)
    assert gone
    assert all(name.startswith((f"{app}_", f"business_{app}_")) for name in gone)
    run(PATCHBAY, "migrate", database=filled)
    assert await tables(filled) == before
    assert await ask(filled, "SELECT ref FROM business") == ["a"]


async def test_the_last_step_of_a_channel_keeps_its_rows(filled: FreshDatabase) -> None:
    """Keys and indexes go and come back under rows that stay."""
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'console_entry'"
    before = await ask(filled, indexes)
    run(PICCOLO, "migrations", "backwards", "console", "--auto_agree", database=filled)
    assert len(await ask(filled, indexes)) < len(before)
    assert await ask(filled, "SELECT count(*) FROM console_entry") == [1]
    run(PATCHBAY, "migrate", database=filled)
    assert await ask(filled, "SELECT count(*) FROM console_entry") == [1]
    assert sorted(await ask(filled, indexes)) == sorted(before)


async def test_two_that_start_at_once_do_not_meet(empty: FreshDatabase) -> None:
    """Racing starters wait for each other: each step runs once, and both succeed."""
    starters = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PATCHBAY,
            "migrate",
            "--json",
            cwd=ROOT,
            env=process_environment(empty),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = await asyncio.wait_for(asyncio.gather(*(one.communicate() for one in starters)), 120)
    assert [one.returncode for one in starters] == [0, 0], said
    walls = [json.loads(out)["walls"] for out, _ in said]
    assert min(len(one) for one in walls) == 0
    assert sum(len(one) for one in walls) > 25
    steps = await ask(empty, "SELECT app_name || name FROM migration")
    assert len(steps) == len(set(steps)) >= 6


async def test_the_queue_has_its_own_schema(migrated_database: FreshDatabase) -> None:
    """A queue in PostgreSQL stands beside our tables, and a second run finds nothing to do."""
    before = await tables(migrated_database)
    report = json.loads(run(PATCHBAY, "migrate", "--json", database=migrated_database).stdout)
    assert report["walls"] == []
    assert report["failed"] == {}
    made = "SELECT tablename FROM pg_tables WHERE schemaname = 'saq'"
    assert "saq_jobs" in await ask(migrated_database, made)
    assert await tables(migrated_database) == before
    assert (
        "No migration waits."
        in run(PATCHBAY, "migrate", "--plan", database=migrated_database).stdout
    )


async def test_the_plan_changes_nothing(empty: FreshDatabase) -> None:
    """`--plan` lists what would run, the core first; afterwards nothing is there."""
    plan = json.loads(run(PATCHBAY, "migrate", "--plan", "--json", database=empty).stdout)
    assert {one["app"] for one in plan["migrations"]} == set(APPS)
    assert plan["migrations"][0]["app"] == "core"
    assert await tables(empty) == set()


async def test_without_rights_the_roles_are_printed(
    empty: FreshDatabase,
) -> None:
    """An account that may not make roles gets the SQL for one that may."""
    url = empty.database_url.replace("patchbay_login", "somebody_else")
    plan = run(PATCHBAY, "migrate", "--plan", database=empty, PATCHBAY_DATABASE_URL=url).stdout
    assert "This account may not make database roles." in plan
    assert 'CREATE ROLE "somebody_else" LOGIN NOINHERIT' in plan
    refused = run(PATCHBAY, "migrate", database=empty, check=False, PATCHBAY_DATABASE_URL=url)
    assert refused.returncode == 1
    assert "may not make database roles" in refused.stderr
    assert await tables(empty) == set()


BROKEN = """
from pathlib import Path
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-22T21:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Breaks half-way"


class Raw(Table):
    pass


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="inkpot", description=DESCRIPTION)

    async def up():
        await Raw.raw("CREATE TABLE inkpot_half (id uuid)")
        await Raw.raw("SELECT 1 / 0")

    manager.add_raw(up)
    return manager
"""


async def test_a_channel_whose_migration_breaks_is_left_out(
    empty: FreshDatabase, tmp_path: Path
) -> None:
    """Its half is rolled back, its name and reason are said, and the others are migrated."""
    folder = tmp_path / "inkpot"
    (folder / "migrations").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "plugin.py").write_text(
        "from core.channels.plugin import ChannelPlugin\n"
        "class Inkpot(ChannelPlugin):\n"
        "    name, title = 'inkpot', 'Ink'\n"
        "    def channel(self, host): return None\n"
        "plugin = Inkpot()\n"
    )
    (folder / "piccolo_app.py").write_text(
        "from pathlib import Path\n"
        "from piccolo.conf.apps import AppConfig\n"
        "APP_CONFIG = AppConfig('inkpot', str(Path(__file__).parent / 'migrations'),\n"
        "    migration_dependencies=['core.piccolo_app'])\n"
    )
    (folder / "migrations" / "inkpot_first.py").write_text(BROKEN)
    done = run(
        PATCHBAY,
        *("migrate", "--json"),
        database=empty,
        check=False,
        PATCHBAY_ADDON_PATHS=str(tmp_path),
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert list(report["failed"]) == ["inkpot"]
    assert "division by zero" in report["failed"]["inkpot"]
    made = await tables(empty)
    assert {"console_entry", "whatsapp_templates"} <= made
    assert "inkpot_half" not in made


_MADE = """
SELECT 'constraint ' || conname AS made FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'function ' || proname || ' ' || provolatile::text || ' ' || md5(prosrc) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
ORDER BY 1
"""


async def test_the_last_step_of_the_core_keeps_its_rows(filled: FreshDatabase) -> None:
    """Keys, indexes and functions go and come back under rows that stay."""
    before = await ask(filled, _MADE)
    run(PICCOLO, "migrations", "backwards", "core", "--auto_agree", database=filled)
    assert await ask(filled, _MADE) != before
    run(PATCHBAY, "migrate", database=filled)
    assert await ask(filled, _MADE) == before
    assert await ask(filled, "SELECT ref FROM business") == ["a"]
