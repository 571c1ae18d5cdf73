"""Tables and columns of alerts that are told by mail."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import (
    JSONB,
    UUID,
    Array,
    Boolean,
    Integer,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow

from core.channels.columns import UUIDv7

ID = "2026-11-22T22:40:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Alerts: who ended them, and the mail about them"

EMPTY = {"null": True, "default": None}
TABLES = {"AlertMail": "alert_mail"}
COLUMNS = {
    ("Alert", "alert"): {
        "acked_at": (Timestamptz, EMPTY),
        "resolved_by": (Varchar, {"length": 100, **EMPTY}),
        "ends_with": (Varchar, {"length": 16, "default": ""}),
        "mail_due": (Boolean, {"default": True}),
        "raise_mailed": (Boolean, {"default": False}),
    },
    ("AlertMail", "alert_mail"): {
        "id": (UUID, {"default": UUIDv7(), "primary_key": True}),
        "business_id": (UUID, EMPTY),
        "user_id": (Integer, {"default": 0}),
        "kind": (Varchar, {"length": 64, "default": ""}),
        "language": (Varchar, {"length": 2, "default": "en"}),
        "raised": (Integer, {"default": 0}),
        "resolved": (Integer, {"default": 0}),
        "subjects": (Array, {"base_column": Varchar(length=200), "default": list}),
        "arguments": (JSONB, {"default": "{}"}),
        "since_at": (Timestamptz, {"default": TimestamptzNow()}),
        "state": (Varchar, {"length": 8, "default": "waiting"}),
        "attempt": (Integer, {"default": 0}),
        "next_at": (Timestamptz, {"default": TimestamptzNow()}),
        "lease_token": (UUID, EMPTY),
        "lease_until": (Timestamptz, EMPTY),
        "last_error": (Varchar, {"length": 32, "default": ""}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "ended_at": (Timestamptz, EMPTY),
    },
}


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)
    for class_name, name in TABLES.items():
        manager.add_table(class_name=class_name, tablename=name, schema=None, columns=None)
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
