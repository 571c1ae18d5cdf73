"""Callbacks of fallbacks, and the sandbox's clock."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T22:30:05:000000"
VERSION = "1.38.0"
DESCRIPTION = "What is told of fallbacks"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        await run_script((SCRIPTS / "told_fallbacks.sql").read_text())

    async def down():
        await run_script((SCRIPTS / "told_fallbacks_down.sql").read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
