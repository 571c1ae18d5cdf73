"""Keys into the core and the indexes that Piccolo does not write."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-22T19:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Keys and indexes of the WhatsApp channel"

TABLES = ("business_whatsapp_config", "whatsapp_templates", "whatsapp_message_log")
INDEXES = {
    "business_whatsapp_config_waba_id_idx": "business_whatsapp_config (waba_id)",
    "business_whatsapp_config_business_id_idx": "business_whatsapp_config (business_id, id DESC)",
    "whatsapp_templates_waba_id_idx": "whatsapp_templates (waba_id)",
    "whatsapp_message_log_business_id_idx": "whatsapp_message_log (business_id, id DESC)",
    "whatsapp_message_log_provider_message_hash_idx": (
        "whatsapp_message_log (provider_message_hash)"
    ),
}


class RawTable(Table):
    """Runs statements; owns no table."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="whatsapp", description=DESCRIPTION)

    async def up():
        for table in TABLES:
            await RawTable.raw(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_business_id_fkey "
                "FOREIGN KEY (business_id) REFERENCES business (id)"
            )
        for name, place in INDEXES.items():
            await RawTable.raw(f"CREATE INDEX {name} ON {place}")

    async def down():
        for name in INDEXES:
            await RawTable.raw(f"DROP INDEX IF EXISTS {name}")
        for table in TABLES:
            await RawTable.raw(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_business_id_fkey"
            )

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
