"""Load the fixtures every test may ask for; they live in ``tests/support``."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

pytest_plugins = [
    "fixture_postgres",
    "fixture_redis",
    "fixture_machine",
    "fixture_house",
    "fixture_scripted",
    "fixture_town",
    "fixture_exam",
]


class ExamOnOneWorker(LoadScopeScheduling):
    """Hand tests out one by one, but all of the exam to one worker: it has one town."""

    def _split_scope(self, nodeid: str) -> str:
        return "exam" if nodeid.startswith("tests/exam/") else nodeid


def pytest_xdist_make_scheduler(config: Any, log: Any) -> LoadScopeScheduling:
    """Tell pytest-xdist how to hand tests out."""
    return ExamOnOneWorker(config, log)
