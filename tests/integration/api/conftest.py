"""The interface on a database of the test's own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from api_world import CHANNEL, TEMPLATES, Api, build_app, connect, make_keys, put_up_business

from core.api import examples
from core.channels.registry import load
from core.testing.channels import ScriptedChannel

if TYPE_CHECKING:
    from core.notify.services import Services


@pytest.fixture
async def api(services: Services, superuser: Any) -> Api:
    """Open the interface on a database of the test's own."""
    whole = dataclasses.replace(
        services,
        registry=load(only=("console", CHANNEL)),
        channels={CHANNEL: ScriptedChannel()},
    )
    own = await put_up_business(whole, examples.BUSINESS)
    foreign = await put_up_business(whole, "salon-foreign")
    await connect(whole, own, TEMPLATES)
    keys = await make_keys(
        whole,
        {
            "platform": {"scopes": ["*"]},
            "bound": {"scopes": ["*"], "business_id": own.id},
            "foreign": {"scopes": ["*"], "business_id": foreign.id},
            "test": {"scopes": ["*"], "mode": "test"},
            "reader": {"scopes": ["notifications:read"]},
        },
    )
    return Api(
        app=build_app(whole),
        services=whole,
        superuser=superuser,
        own=own,
        foreign=foreign,
        keys=keys,
    )
