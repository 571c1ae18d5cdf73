"""A house with a scripted channel for the tests of the loops."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from scripted_house import CHANNEL, House

from core.channels.registry import PluginState
from core.testing.channels import ScriptedPlugin
from tasks.ring import Bells, InProcessRing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from core.notify.services import Services


@pytest.fixture
async def house(services: Services, superuser: Any) -> AsyncIterator[House]:
    """Build a house with the scripted channel."""
    plugin = ScriptedPlugin()
    services.registry.plugins["scripted"] = plugin
    services.registry.states["scripted"] = PluginState(
        slug="scripted", title="Scripted", version="1", origin="test", state="loaded"
    )
    bells = Bells()
    ring = InProcessRing(services.database, bells)
    whole = replace(services, channels={CHANNEL: plugin.scripted}, ring=ring)
    yield House(whole, plugin.scripted, bells, superuser)
    await ring.close()


@pytest.fixture
async def business(house: House) -> UUID:
    """Make one business."""
    return await house.add_business("salon-a")
