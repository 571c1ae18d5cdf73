"""Tables and columns of key rates and of the sandbox."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import (
    UUID,
    Array,
    BigInt,
    Bytea,
    DoublePrecision,
    Integer,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.columns.indexes import IndexMethod

from core.channels.columns import UUIDv7

ID = "2026-11-22T22:20:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Rates of keys, clock and messages of test businesses"

EMPTY = {"null": True, "default": None}
NETWORK = Varchar(
    length=64,
    default="",
    null=False,
    primary_key=False,
    unique=False,
    index=False,
    index_method=IndexMethod.btree,
    choices=None,
    db_column_name=None,
    secret=False,
)
TABLES = {"SandboxMessage": "sandbox_message"}
COLUMNS = {
    ("ApiKey", "api_key"): {
        "rate_per_second": (Integer, EMPTY),
        "rate_burst": (Integer, EMPTY),
        "rate_tokens": (DoublePrecision, {"default": 0.0}),
        "rate_filled_at": (Timestamptz, EMPTY),
        "allowed_from": (Array, {"default": list, "base_column": NETWORK}),
    },
    ("Business", "business"): {"clock_ahead_seconds": (BigInt, {"default": 0})},
    ("ProviderInbox", "provider_inbox"): {
        "due_at": (Timestamptz, EMPTY),
        "test_business_id": (UUID, EMPTY),
    },
    ("SandboxMessage", "sandbox_message"): {
        "id": (UUID, {"default": UUIDv7(), "primary_key": True}),
        "business_id": (UUID, {"default": None}),
        "created_at": (Timestamptz, {"default": TimestamptzNow()}),
        "channel": (Varchar, {"length": 32, "default": ""}),
        "direction": (Varchar, {"length": 8, "default": ""}),
        "notification_id": (UUID, EMPTY),
        "template": (Varchar, {"length": 512, "default": ""}),
        "address_sealed": (Bytea, {"default": b""}),
        "text_sealed": (Bytea, {"default": b""}),
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
