"""Triggers that tell of alerts, connections and templates, and the functions of the mail."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2026-11-22T22:40:01:000000"
VERSION = "1.38.0"
DESCRIPTION = "Alerts out by callback and by mail"

SCRIPTS = Path(__file__).parent / "sql"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        for name in ("alerts.sql", "alert_callbacks.sql", "alert_mail.sql"):
            await run_script((SCRIPTS / name).read_text())

    async def down():
        await run_script((SCRIPTS / "alerts_down.sql").read_text())

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
