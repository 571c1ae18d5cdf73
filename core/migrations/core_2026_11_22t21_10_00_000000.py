"""Tables and columns of pauses, suspension and the pace of each recipient."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import (
    UUID,
    Bytea,
    Date,
    DoublePrecision,
    Integer,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow

from core.channels.columns import UUIDv7

ID = "2026-11-22T21:10:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Pauses, suspension and the pace of recipients"

EMPTY = {"null": True, "default": None}
TABLES = {"RecipientPace": "recipient_pace", "SendingPause": "sending_pause"}
COLUMNS = {
    ("Lane", "lane"): {"rest_until": (Timestamptz, EMPTY)},
    ("LaneHealth", "lane_health"): {
        "ring": (Text, {"default": ""}),
        "suspended_at": (Timestamptz, EMPTY),
    },
    ("RecipientPace", "recipient_pace"): {
        "id": (UUID, {"default": UUIDv7(), "primary_key": True}),
        "business_id": (UUID, {"default": None}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "channel": (Varchar, {"length": 32, "default": ""}),
        "address_hash": (Bytea, {"default": b""}),
        "next_at": (Timestamptz, EMPTY),
        "paced_until": (Timestamptz, EMPTY),
        "spacing_seconds": (DoublePrecision, {"default": 0.0}),
        "day": (Date, EMPTY),
        "count": (Integer, {"default": 0}),
    },
    ("SendingPause", "sending_pause"): {
        "id": (UUID, {"default": UUIDv7(), "primary_key": True}),
        "business_id": (UUID, EMPTY),
        "channel": (Varchar, {"length": 32, **EMPTY}),
        "reason": (Varchar, {"length": 200, "default": ""}),
        "actor": (Varchar, {"length": 100, "default": ""}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
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
