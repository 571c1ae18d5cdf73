"""The table of entries; the folder's name is the channel's, so that a copy has its own."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import UUID, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow

from core.channels.columns import UUIDv7

SLUG = Path(__file__).parent.parent.name

# Piccolo keeps ids of all apps in one table and takes them back by the id alone.
ID = f"2026-11-22T20:00:00:000000 {SLUG}"
VERSION = "1.38.0"
DESCRIPTION = "The table of entries"

COLUMNS = {
    "id": (UUID, {"default": UUIDv7(), "primary_key": True}),
    "business_id": (UUID, {"default": None}),
    "created_at": (Timestamptz, {"default": TimestamptzNow()}),
    "notification_id": (UUID, {"default": None}),
    "template": (Varchar, {"length": 512, "default": ""}),
    "language": (Varchar, {"length": 16, "default": ""}),
    "handed_over_at": (Timestamptz, {"default": TimestamptzNow()}),
}


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name=SLUG, description=DESCRIPTION)
    manager.add_table(class_name="Entry", tablename=f"{SLUG}_entry", schema=None, columns=None)
    for name, (kind, params) in COLUMNS.items():
        manager.add_column(
            table_class_name="Entry",
            tablename=f"{SLUG}_entry",
            column_name=name,
            db_column_name=name,
            column_class_name=kind.__name__,
            column_class=kind,
            params={"null": False, "primary_key": False} | params,
            schema=None,
        )
    return manager
