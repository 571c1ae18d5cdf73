"""What tests need of the machine: free ports, a browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from core.embedded_machine import free_port as find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Find loopback ports nobody listens on; a new one at each call."""
    return find_free_port


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the program of a Chromium; without one the test is skipped, in CI it fails."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    if os.environ.get("PATCHBAY_REQUIRE_BROWSER"):
        pytest.fail("PATCHBAY_REQUIRE_BROWSER is set and there is no Chromium")
    pytest.skip("there is no Chromium on this machine")
