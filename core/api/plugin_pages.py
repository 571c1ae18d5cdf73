"""Mounts the channels' own pages under `/connect/<slug>`, for people who are signed in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, Router
from litestar.routes import HTTPRoute

from core.access.roles import allowed
from core.access.sessions import COOKIE, Sessions
from core.errors import PermissionDeniedError, PluginContractError
from core.notify.hosting import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler

    from core.channels.host import Host
    from core.channels.plugin import ChannelPlugin
    from core.notify.services import Services

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def mount_plugin_pages(services: Services, hosts: Mapping[str, Host]) -> list[Router]:
    """Return each plugin's pages; what fails is left out and named."""
    mounted: list[Router] = []
    for slug, host in hosts.items():
        if plugin := services.registry.plugins.get(slug):
            build = partial(_router, services, plugin, host)
            router = guarded(services.registry, slug, "pages", build)
            if router is not None:
                mounted.append(router)
    return mounted


def _router(services: Services, plugin: ChannelPlugin, host: Host) -> Router | None:
    handlers = list(plugin.pages(host))
    if not handlers:
        return None

    async def may_enter(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        await _check(services, connection, handler)

    router = Router(path=f"/connect/{plugin.name}", route_handlers=handlers, guards=[may_enter])
    for route in router.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            action = handler.opt.get("action")
            if "OPTIONS" not in handler.http_methods and not isinstance(action, str):
                raise PluginContractError(f"the page {route.path} declares no action")
    Litestar(
        [router], openapi_config=None, logging_config=None
    )  # what Litestar refuses must not stop the host
    return router


async def _check(
    services: Services, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Let in who is signed in and may do what the page is for.

    Raises:
        PermissionDeniedError: nobody is signed in, they may not, or another site sent them.
    """
    cookie = connection.cookies.get(COOKIE, "")
    actor = await Sessions(services.database, services.clock).find(cookie) if cookie else None
    if actor is None:
        raise PermissionDeniedError("Sign in at /admin/ first.")
    verdict = allowed(actor, str(handler.opt.get("action", "")), actor.business_id)
    if not verdict:
        raise PermissionDeniedError(verdict.why)
    # A browser that was lured here by another site says so itself.
    origin = connection.headers.get("origin", "")
    if connection.scope.get("method") not in _SAFE and origin != services.public_url:
        raise PermissionDeniedError("This form was not sent from this host's own pages.")
