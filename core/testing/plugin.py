"""Fixtures for tests of channels; pytest loads this module in every run where we are installed.

Nothing but pytest is imported until a test asks for a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.testing.channels import ScriptedChannel, ScriptedPlugin


@pytest.fixture
def patchbay_plugin() -> ScriptedPlugin:
    """Give a plugin whose channel does as the test says."""
    from core.testing.channels import ScriptedPlugin  # noqa: PLC0415 - see the module

    return ScriptedPlugin()


@pytest.fixture
def patchbay_channel(patchbay_plugin: ScriptedPlugin) -> ScriptedChannel:
    """Give the channel of `patchbay_plugin`."""
    return patchbay_plugin.scripted
