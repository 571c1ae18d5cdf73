"""Routes that plugins add: behind the same guard, and never in the way of the host."""

import dataclasses
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency

from core.api.application import (
    exception_handlers,
    finish,
    mount_plugin_routes,
    routes,
)
from core.errors import ConfigurationError
from core.testing.channels import ScriptedPlugin

if TYPE_CHECKING:
    from api_world import Api


@get("/mine", opt={"scope": "notifications:read"})
async def mine(business_id: NamedDependency[UUID]) -> dict[str, str]:
    """Say whose call it is."""
    return {"business": str(business_id)}


@get("/broken", opt={"scope": "notifications:read"})
async def broken() -> None:
    """Fail with something that nobody may see."""
    raise RuntimeError("a secret")


@get("/open")
async def undeclared() -> None:
    """Declare no scope."""


class Routed(ScriptedPlugin):
    """Brings routes."""

    def __init__(self, *handlers: Any) -> None:
        super().__init__()
        self.handlers = handlers

    def routes(self, host: Any) -> Any:
        """Return what the test put in, or raise it."""
        del host
        if self.handlers and isinstance(self.handlers[0], Exception):
            raise self.handlers[0]
        return self.handlers


def mount(api: "Api", *handlers: Any) -> str:
    """Give the console's place to a plugin with these routes; return what became of it."""
    registry = api.services.registry
    registry.plugins["console"] = Routed(*handlers)
    hosts: Any = {"console": object()}
    services = dataclasses.replace(api.services)
    app = Litestar(
        [*routes(services), *mount_plugin_routes(services, hosts)],
        exception_handlers=exception_handlers(services),
        openapi_config=None,
    )
    api.app = finish(app)
    return registry.states["console"].reason


async def test_a_plugins_route_gets_the_callers_own_business(api: "Api") -> None:
    """The host resolves and checks `business_id`; a foreign one does not reach the plugin."""
    assert mount(api, mine) == ""
    path = "/v1/channels/console/mine"
    own = await api.call("GET", path, key="bound")
    assert own.json() == {"business": str(api.own.id)}
    named = await api.call("GET", f"{path}?business_id=salon-foreign")
    assert named.json() == {"business": str(api.foreign.id)}
    for ref in ("salon-foreign", str(api.foreign.id)):
        refused = await api.call("GET", f"{path}?business_id={ref}", key="bound")
        assert refused.status_code == 404
    assert (await api.call("GET", path, key=None)).status_code == 401
    assert (await api.call("GET", path)).status_code == 422


async def test_a_plugins_failure_is_an_answer_without_a_trace(api: "Api") -> None:
    """500 from its route; the host's own calls go on."""
    mount(api, broken)
    answer = await api.call("GET", "/v1/channels/console/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert (await api.call("GET", "/v1/businesses")).status_code == 200


@pytest.mark.parametrize(
    ("handlers", "reason"),
    [
        ((undeclared,), "declares no scope"),
        ((RuntimeError("no routes today"),), "no routes today"),
        (("no handler",), ""),
    ],
)
async def test_unfit_routes_are_left_out_and_named(
    api: "Api", handlers: tuple[Any, ...], reason: str
) -> None:
    """The plugin is out of service with its reason; the host starts."""
    said = mount(api, *handlers)
    assert said.startswith("routes: ")
    assert reason in said
    assert api.services.registry.states["console"].state == "failed"
    assert (await api.call("GET", "/v1/businesses")).status_code == 200


async def test_a_start_fails_when_an_endpoint_declares_no_scope() -> None:
    """Nobody adds an open door to /v1 by forgetting something."""

    @get("/v1/forgotten")
    async def forgotten() -> None:
        """Declare nothing."""

    with pytest.raises(ConfigurationError, match="/v1/forgotten declares no scope"):
        finish(Litestar([forgotten], openapi_config=None))
