"""Columns of fallbacks: what follows where a channel fails, and what follows what."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import JSONB, UUID, Interval, Timestamptz

ID = "2026-11-22T22:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Fallbacks to the next channel of a rule"

EMPTY = {"null": True, "default": None}
COLUMNS = {
    ("Decision", "decision"): {"fallback_of": (UUID, EMPTY)},
    ("NotificationRule", "notification_rule"): {"fallback_after": (Interval, EMPTY)},
    ("NotificationOutbox", "notification_outbox"): {
        "fallbacks": (JSONB, {"default": "[]"}),
        "fallback_after": (Interval, EMPTY),
        "fallback_at": (Timestamptz, EMPTY),
        "followed_at": (Timestamptz, EMPTY),
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
