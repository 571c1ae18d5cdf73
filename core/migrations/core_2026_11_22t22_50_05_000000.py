"""The ledger of consent guards itself; `begin` knows the confirmation of a STOP."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T22:50:05:000000"
VERSION = "1.38.0"
DESCRIPTION = "Ledger of consent and confirmations"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        await run_script((SCRIPTS / "consent.sql").read_text())

    async def down():
        await run_script((SCRIPTS / "consent_down.sql").read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
