"""A house with two businesses on a channel that answers as told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fixture_scripted import ScriptedPlugin, ScriptedSender
from limited_house import LimitedHouse, limited
from scripted_house import CHANNEL

if TYPE_CHECKING:
    from uuid import UUID

    from core.notify.services import Services


@pytest.fixture
def house(services: Services, superuser: Any) -> LimitedHouse:
    """Build a house with the scripted channel."""
    services.registry.plugins[CHANNEL] = ScriptedPlugin()
    return limited(replace(services, channels={CHANNEL: ScriptedSender()}), superuser)  # type: ignore[dict-item]


@pytest.fixture
async def business(house: LimitedHouse) -> UUID:
    """Make one business."""
    return await house.add_business("salon-a")


@pytest.fixture
def short() -> timedelta:
    """Give a wait that is over at once."""
    return timedelta(milliseconds=1)
