"""Puts the interface together: what core/asgi.py mounts.

handlers = [*routes(services), *mount_plugin_routes(services, hosts)]
app = Litestar(handlers, exception_handlers=exception_handlers(services), openapi_config=None)
finish(app)
"""

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from core.api import (
    acts,
    alerts,
    batches,
    bookings,
    businesses,
    callback_log,
    consents,
    events,
    evidence,
    jobs,
    limits,
    lookups,
    notifications,
    pages,
    reference,
    rules,
    sandbox,
    sending,
    webhook_endpoints,
    webhooks,
)
from core.api.bodies import BODY_LIMIT, WEBHOOK_LIMIT
from core.api.edge import wrap
from core.api.guards import authentication, is_ref, is_scope, tenant
from core.api.health import Probe, live, readiness
from core.api.openapi import build_document
from core.api.operations import PUBLIC
from core.api.problem_types import PROBLEMS
from core.api.problems import exception_handler
from core.channels.host import Host
from core.channels.plugin import ChannelPlugin
from core.errors import ConfigurationError, NotFoundError, PluginContractError
from core.ids import BusinessId
from core.notify.hosting import guarded
from core.notify.services import Services

_V1 = "/v1"
_Handlers = list[ControllerRouterHandler]


def routes(services: Services, *, queue: Probe | None = None) -> list[ControllerRouterHandler]:
    """Return the core's own handlers.

    Args:
        services: the process's parts; the database may still be closed.
        queue: raises if the queue does not answer, for readiness.
    """
    lent = {"services": Provide(lambda: services, sync_to_thread=False)}
    v1, hooks, health = _handlers(queue)
    return [
        Router(
            path=_V1,
            route_handlers=v1,
            guards=[authentication(services)],
            dependencies=lent,
            request_max_body_size=BODY_LIMIT,
        ),
        Router(
            path="/",
            route_handlers=hooks,
            dependencies=lent,
            request_max_body_size=WEBHOOK_LIMIT,
        ),
        Router(path="/", route_handlers=health, dependencies=lent),
        *_pages(),
    ]


def exception_handlers(services: Services) -> ExceptionHandlersMap:
    """Return the mapping for the whole application: it also answers what finds no handler."""
    return {Exception: exception_handler(services.public_url)}


def mount_plugin_routes(services: Services, hosts: Mapping[str, Host]) -> list[Router]:
    """Return each plugin's routes under `/v1/channels/<slug>`; what fails is left out and named.

    A handler that takes `business_id` gets the caller's business from the host, checked; it
    never sees what a caller wrote there.
    """
    mounted: list[Router] = []
    for slug, host in hosts.items():
        plugin = services.registry.plugins.get(slug)
        if plugin is None:
            continue
        router = guarded(
            services.registry,
            slug,
            "routes",
            partial(_plugin_router, services, slug, plugin, host),
        )
        if router is not None:
            mounted.append(router)
    return mounted


def finish(app: Litestar) -> Litestar:
    """Check that every endpoint declares its scope, and put the outermost layer around.

    Raises:
        ConfigurationError: an endpoint under /v1 declares none.
    """
    bare = bare_paths(app.routes)
    if bare:
        raise ConfigurationError(*(f"{path} declares no scope." for path in bare))
    return wrap(app)


def bare_paths(routes_: Iterable[BaseRoute]) -> list[str]:
    """Return the paths under /v1 whose handlers declare no scope that exists."""
    return sorted(
        {
            route.path
            for route in routes_
            if isinstance(route, HTTPRoute) and route.path.startswith(f"{_V1}/")
            for handler in route.route_handlers
            if handler.http_methods != {"OPTIONS"} and not is_scope(handler.opt.get("scope"))
        }
    )


def host_version() -> str:
    """Return the version of this host."""
    try:
        return version("patchbay")
    except PackageNotFoundError:  # started from a clone that was not installed
        return "0.1.0"


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the core's own endpoints."""
    v1, hooks, health = _handlers(None)
    routers = [
        Router(path=_V1, route_handlers=v1),
        Router(path="/", route_handlers=hooks + health),
    ]
    return build_document(
        (
            (route.path, method, handler.opt["operation"])
            for router in routers
            for route in router.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            if "operation" in handler.opt
            for method in handler.http_methods
        ),
        host_version(),
    )


def _handlers(queue: Probe | None) -> tuple[_Handlers, _Handlers, _Handlers]:
    v1: _Handlers = [
        *bookings.HANDLERS,
        *businesses.HANDLERS,
        *consents.HANDLERS,
        *jobs.HANDLERS,
        *evidence.HANDLERS,
        *events.HANDLERS,
        *batches.HANDLERS,
        *notifications.HANDLERS,
        *acts.HANDLERS,
        *limits.HANDLERS,
        *lookups.HANDLERS,
        *sending.HANDLERS,
        *reference.HANDLERS,
        *webhook_endpoints.HANDLERS,
        *callback_log.HANDLERS,
        *rules.HANDLERS,
        *alerts.HANDLERS,
        *sandbox.HANDLERS,
    ]
    return v1, list(webhooks.HANDLERS), [live, *readiness(queue)]


def _pages() -> list[HTTPRouteHandler]:
    described = document()
    encoded = msgspec.json.encode(described)
    calls = pages.calls_page(described)

    @get("/openapi.json", opt={"scope": PUBLIC})
    async def openapi_document() -> Response[bytes]:
        """Return the interface's description."""
        return Response(encoded, media_type=MediaType.JSON)

    @get("/docs", opt={"scope": PUBLIC})
    async def calls_page() -> Response[str]:
        """Show every call."""
        return _page(calls)

    @get("/problems", opt={"scope": PUBLIC})
    async def problems_page() -> Response[str]:
        """Show every problem type."""
        return _page(pages.problems_page())

    @get("/problems/{slug:str}", opt={"scope": PUBLIC})
    async def problem_page(slug: FromPath[str]) -> Response[str]:
        """Show one problem type."""
        problem = PROBLEMS.get(slug)
        if problem is None:
            raise NotFoundError("There is no such problem.")
        return _page(pages.problem_page(problem))

    return [openapi_document, calls_page, problems_page, problem_page]


def _page(content: str) -> Response[str]:
    return Response(content, media_type=MediaType.HTML, headers=dict(pages.HEADERS))


def _plugin_router(
    services: Services, slug: str, plugin: ChannelPlugin, host: Host
) -> Router | None:
    handlers = list(plugin.routes(host))
    if not handlers:
        return None

    async def own_business(request: Request[Any, Any, Any]) -> BusinessId:
        given = request.path_params.get("business_id") or request.query_params.get("business_id")
        if given is not None and not is_ref(str(given)):
            raise NotFoundError("There is no such business.")
        return (await tenant(services, request, given, "?business_id")).id

    router = Router(
        path=f"{_V1}/channels/{slug}",
        route_handlers=handlers,
        guards=[authentication(services)],
        dependencies={"business_id": Provide(own_business)},
        request_max_body_size=BODY_LIMIT,
        tags=[plugin.title],
    )
    if bare := bare_paths(router.routes):
        raise PluginContractError(f"the route {bare[0]} declares no scope that exists")
    Litestar(
        [router], openapi_config=None, logging_config=None
    )  # what Litestar refuses must not stop the host
    return router
