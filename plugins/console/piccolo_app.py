"""The channel's table, for Piccolo's migrations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from piccolo.conf.apps import AppConfig

from .tables import SLUG, Entry

MIGRATIONS: Final = Path(__file__).parent / "migrations"


class OwnMigrations(AppConfig):
    """Finds this folder's migrations, whatever other channels call theirs."""

    @property
    def resolved_migrations_folder_path(self) -> str:
        """Return the folder, and forget modules of the same names that came from another one.

        Piccolo imports a migration by its file name alone, so that Python would take the one of
        the folder this one was copied from.
        """
        for file in MIGRATIONS.glob("[!_]*.py"):
            sys.modules.pop(file.stem, None)
        return str(MIGRATIONS)


APP_CONFIG = OwnMigrations(
    app_name=SLUG,
    migrations_folder_path=str(MIGRATIONS),
    table_classes=[Entry],
    migration_dependencies=["core.piccolo_app"],
    commands=[],
)
