"""Tables of long work."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import JSONB, UUID, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow

from core.channels.columns import UUIDv7

ID = "2026-11-22T22:50:10:000000"
VERSION = "1.38.0"
DESCRIPTION = "Tables of long work"

EMPTY = {"null": True, "default": None}
KEY = (UUID, {"default": UUIDv7(), "primary_key": True})
TABLES = {"Job": "job", "JobPart": "job_part", "JobFault": "job_fault"}
COLUMNS = {
    ("Job", "job"): {
        "id": KEY,
        "business_id": (UUID, EMPTY),
        "kind": (Varchar, {"length": 32, "default": ""}),
        "state": (Varchar, {"length": 8, "default": "waiting"}),
        "actor": (Varchar, {"length": 100, "default": ""}),
        "parameters": (JSONB, {"default": "{}"}),
        "done": (Integer, {"default": 0}),
        "total": (Integer, EMPTY),
        "faults": (Integer, {"default": 0}),
        "result": (JSONB, {"default": "{}"}),
        "result_sealed": (Bytea, EMPTY),
        "error": (Varchar, {"length": 64, **EMPTY}),
        "attempts": (Integer, {"default": 0}),
        "lease_token": (UUID, EMPTY),
        "lease_until": (Timestamptz, EMPTY),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "started_at": (Timestamptz, EMPTY),
        "ended_at": (Timestamptz, EMPTY),
    },
    ("JobPart", "job_part"): {
        "id": KEY,
        "business_id": (UUID, {"default": None}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "job_id": (UUID, {"default": None}),
        "number": (Integer, {"default": 0}),
        "body_sealed": (Bytea, {"default": b""}),
    },
    ("JobFault", "job_fault"): {
        "id": KEY,
        "business_id": (UUID, {"default": None}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "job_id": (UUID, {"default": None}),
        "line": (Integer, {"default": 0}),
        "field": (Varchar, {"length": 64, "default": ""}),
        "code": (Varchar, {"length": 64, "default": ""}),
        "message": (Text, {"default": ""}),
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
