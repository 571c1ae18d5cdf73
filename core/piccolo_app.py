"""The core's tables, for Piccolo's migrations."""

from __future__ import annotations

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="core",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=table_finder(
        [
            "core.businesses.tables",
            "core.customers.tables",
            "core.access.tables",
            "core.consent.tables",
            "core.catalogue.tables",
            "core.limits.tables",
            "core.notify.tables",
            "core.outbox.tables",
            "core.alerts.tables",
            "core.sandbox.tables",
            "core.callbacks.tables",
            "core.jobs.tables",
        ],
        exclude_imported=True,
    ),
    migration_dependencies=[],
    commands=[],
)
