"""The fixtures of the admin."""

from __future__ import annotations

from fixture_admin import built_site, site, world

__all__ = ["built_site", "site", "world"]
