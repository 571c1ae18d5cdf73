"""Functions of late failures and of the quality stop."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T22:30:03:000000"
VERSION = "1.38.0"
DESCRIPTION = "Functions of late failures and the quality stop"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        for name in ("late_failures.sql", "quality.sql"):
            await run_script((SCRIPTS / name).read_text())

    async def down():
        await run_script((SCRIPTS / "quality_down.sql").read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
