"""Load the fixtures every test may ask for; they live in ``tests/support``."""

from __future__ import annotations

pytest_plugins = [
    "fixture_postgres",
    "fixture_redis",
    "fixture_machine",
    "fixture_house",
    "fixture_scripted",
    "fixture_town",
    "fixture_exam",
]
