"""Piccolo's door to the database: migrations of the core and of every enabled channel.

The running host does not come in here; it builds its own pools with narrower roles.
"""

from __future__ import annotations

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

from core.channels.registry import load, piccolo_apps
from core.deployment import prepare
from core.settings import read_settings

_settings = read_settings()

DB = PostgresEngine(config={"dsn": prepare(_settings).migrations_url}, extensions=())

APP_REGISTRY = AppRegistry(
    apps=[
        "core.piccolo_app",
        *piccolo_apps(load(_settings.addon_paths, _settings.channels)),
    ]
)
