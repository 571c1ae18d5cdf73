"""The channels' own pages: for people who are signed in and may, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
from litestar import Litestar, get, post

from core.access.sessions import COOKIE, Sessions
from core.access.tables import Role
from core.access.users import add_membership, create_user
from core.api.application import exception_handlers
from core.api.plugin_pages import mount_plugin_pages
from core.channels.registry import PluginState
from core.testing.channels import ScriptedPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.notify.services import Services


@get("/start", opt={"action": "channels.change"})
async def start_page() -> str:
    """Show a page."""
    return "start"


@post("/start", opt={"action": "channels.change"})
async def submit() -> str:
    """Take a form."""
    return "taken"


@get("/bare")
async def bare() -> str:
    """Declare nothing."""
    return "bare"


class WithPages(ScriptedPlugin):
    """Brings pages."""

    handlers: tuple[Any, ...] = (start_page, submit)

    def pages(self, host: Any) -> Any:
        """Return them."""
        del host
        return self.handlers


def build(services: Services, plugin: WithPages) -> tuple[Services, Litestar]:
    """Build an application of the pages alone."""
    registry = replace(
        services.registry,
        plugins={"scripted": plugin},
        states={
            "scripted": PluginState(
                slug="scripted", title="", version="", origin="", state="loaded"
            )
        },
    )
    own = replace(services, registry=registry)
    pages = mount_plugin_pages(own, {"scripted": SimpleNamespace()})  # type: ignore[dict-item]  # unused
    return own, Litestar(
        pages,
        exception_handlers=exception_handlers(own),
        openapi_config=None,
        logging_config=None,
    )


async def test_a_page_without_an_action_takes_its_plugin_out(services: Services) -> None:
    """A page that does not say what it is for is not mounted, and its plugin is named."""
    plugin = WithPages()
    plugin.handlers = (bare,)
    own, app = build(services, plugin)
    assert "declares no action" in own.registry.states["scripted"].reason
    assert all(not route.path.startswith("/connect") for route in app.routes)


async def test_pages_are_for_people_who_are_signed_in_and_may(
    services: Services, add_business: Callable[..., Any]
) -> None:
    """An owner gets in; a viewer, a stranger and a form from another site do not."""
    business = await add_business()
    sessions = Sessions(services.database, services.clock)
    cookies = {"stranger": "made-up"}
    for role in (Role.OWNER, Role.VIEWER):
        name = role.value
        user = await create_user(
            services.database,
            username=name,
            password="correct horse battery",
            email=f"{name}@example.org",
        )
        await add_membership(services.database, user, role, business.id)
        cookies[name] = await sessions.begin(user)
    _, app = build(services, WithPages())
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # Litestar's own ASGI types
    own, other = {"origin": services.public_url}, {"origin": "https://evil.example"}
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:

        async def ask(method: str, who: str, headers: dict[str, str]) -> int:
            cookie = {"cookie": f"{COOKIE}={cookies[who]}"} if who else {}
            path = "/connect/scripted/start"
            return (await client.request(method, path, headers=cookie | headers)).status_code

        assert await ask("GET", "owner", {}) == 200
        assert await ask("POST", "owner", own) == 201
        for method, who, headers in (
            ("GET", "", {}),
            ("GET", "stranger", {}),
            ("GET", "viewer", {}),
            ("POST", "viewer", own),
            ("POST", "owner", other),
            ("POST", "owner", {}),
        ):
            assert await ask(method, who, headers) == 403, (method, who, headers)
