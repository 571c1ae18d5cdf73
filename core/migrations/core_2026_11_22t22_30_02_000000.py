"""Columns of the quality stop: what the provider says of an account, and what follows."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import Timestamptz, Varchar

ID = "2026-11-22T22:30:02:000000"
VERSION = "1.38.0"
DESCRIPTION = "The stop of a channel whose quality is low"

EMPTY = {"null": True, "default": None}
COLUMNS = {
    ("LaneHealth", "lane_health"): {
        "quality": (Varchar, {"length": 16, "default": ""}),
        "quality_stopped_at": (Timestamptz, EMPTY),
    },
}


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)
    for (class_name, name), columns in COLUMNS.items():
        for column, (kind, params) in columns.items():
            manager.add_column(
                table_class_name=class_name,
                tablename=name,
                column_name=column,
                db_column_name=column,
                column_class_name=kind.__name__,
                column_class=kind,
                params={"null": False, "primary_key": False} | params,
                schema=None,
            )
    return manager
