"""A test business on a database of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from trial_world import Trial, open_trial

if TYPE_CHECKING:
    from core.notify.services import Services


@pytest.fixture
async def trial(services: Services, superuser: Any) -> Trial:
    """Put up a test business behind the interface."""
    return await open_trial(services, superuser)
