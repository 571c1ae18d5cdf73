"""Keys, allowed values, indexes and the functions of lanes and outbox."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T19:20:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Keys and functions of the core"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        for name in ("keys.sql", "lanes.sql", "outbox.sql"):
            await run_script((SCRIPTS / name).read_text())

    async def down():
        await run_script((SCRIPTS / "down.sql").read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
