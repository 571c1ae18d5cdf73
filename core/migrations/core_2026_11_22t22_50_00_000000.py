"""Columns for the lines of the ledger on which each attempt rests."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import UUID

ID = "2026-11-22T22:50:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Lines of consent behind attempts"

COLUMNS = ("consent_event_id", "marketing_event_id")


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)
    for column in COLUMNS:
        manager.add_column(
            table_class_name="SendAttempt",
            tablename="send_attempt",
            column_name=column,
            db_column_name=column,
            column_class_name="UUID",
            column_class=UUID,
            params={"null": True, "primary_key": False, "default": None},
            schema=None,
        )
    return manager
