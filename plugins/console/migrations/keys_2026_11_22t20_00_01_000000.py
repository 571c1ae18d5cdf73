"""The key into the core, and the index that lists and the nightly clean-up use."""

from pathlib import Path

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

SLUG = Path(__file__).parent.parent.name
ENTRY = f"{SLUG}_entry"

ID = f"2026-11-22T20:00:01:000000 {SLUG}"
VERSION = "1.38.0"
DESCRIPTION = "The key and the indexes of entries"


class RawTable(Table):
    """Runs statements; owns no table."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name=SLUG, description=DESCRIPTION)

    async def up():
        await RawTable.raw(
            f"ALTER TABLE {ENTRY} ADD CONSTRAINT {ENTRY}_business_fk "
            "FOREIGN KEY (business_id) REFERENCES business (id)"
        )
        await RawTable.raw(f"CREATE INDEX {ENTRY}_newest ON {ENTRY} (business_id, id DESC)")
        await RawTable.raw(f"CREATE INDEX {ENTRY}_age ON {ENTRY} (handed_over_at)")

    async def down():
        await RawTable.raw(f"DROP INDEX IF EXISTS {ENTRY}_newest, {ENTRY}_age")
        await RawTable.raw(f"ALTER TABLE {ENTRY} DROP CONSTRAINT IF EXISTS {ENTRY}_business_fk")

    manager.add_raw(up)  # pyright: ignore[reportUnknownMemberType] - Piccolo's own gap
    manager.add_raw_backwards(down)  # pyright: ignore[reportUnknownMemberType] - Piccolo's own gap
    return manager
