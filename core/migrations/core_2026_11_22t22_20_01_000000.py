"""Functions of key rates and of the sandbox."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T22:20:01:000000"
VERSION = "1.38.0"
DESCRIPTION = "Functions of key rates and of the sandbox"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        for name in ("rates.sql", "sandbox.sql"):
            await run_script((SCRIPTS / name).read_text())

    async def down():
        for name in ("sandbox_down.sql", "rates_down.sql"):
            await run_script((SCRIPTS / name).read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
