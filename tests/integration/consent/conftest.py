"""A salon whose customers write back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from talking_salon import Talk

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
async def talk(open_salon: Callable[..., Any], superuser: Any) -> Talk:
    """Open the salon."""
    return Talk(await open_salon(), superuser)
