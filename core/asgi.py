"""Builds the web process: the only place, with tasks/worker.py, that knows everybody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from core import logs
from core.api.application import exception_handlers, finish, mount_plugin_routes, routes
from core.api.bodies import BODY_LIMIT
from core.api.headers import add_headers
from core.api.plugin_pages import mount_plugin_pages
from core.api.start_page import start_handler
from core.channels.registry import load
from core.db import PoolSizes
from core.deployment import prepare
from core.errors import ConfigurationError
from core.notify.hosting import check_schema, gather_supplies, open_channels
from core.notify.services import Services
from tasks.jobs import collect_tasks, drop_failed
from tasks.queue import TaskQueue, connect, make_queue
from tasks.ring import SaqRing
from tasks.stopping import stopping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from core.deployment import Deployment
    from core.notify.hosting import Opened, Supplies
    from core.settings import Settings
    from tasks.queue import SteadyQueue

POOLS: Final = PoolSizes(app=10, batch=2, platform=3, engine=6)
GRACE_SECONDS: Final = 20

_SLOTS: Final = 16
_BACKLOG: Final = 2048

_log = structlog.get_logger("patchbay.web")


@dataclass(slots=True)
class Web:
    """The parts of a web process; open them before the first call, close them after the last.

    Attributes:
        app: the application; opens and closes the parts itself when its server says so.
        admin: the admin site, or None where it could not be built.
    """

    app: Litestar
    services: Services
    supplies: Supplies
    opened: Opened
    queue: SteadyQueue
    ring: SaqRing
    admin: Any = None

    async def open(self) -> None:
        """Open pools and queue, and look whether the database is up to date.

        Raises:
            ConfigurationError: the process cannot work; the sentence says why.
        """
        try:
            await self.supplies.database.open()
            await check_schema(self.supplies.database, self.services.registry)
            await connect(self.queue)
            if self.admin is not None:
                await self.admin.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close everything in the reverse order; safe to call half-way."""
        await self.ring.close()
        if self.admin is not None:
            await self.admin.close()
        await self.opened.close()
        await self.queue.disconnect()
        await self.supplies.close()


def build_app(settings: Settings) -> Litestar:
    """Build the application for a server of one's own; it opens and closes its parts itself.

    Raises:
        ConfigurationError: the settings or the surroundings do not allow it.
    """
    return build_web(settings, prepare(settings)).app


def build_web(settings: Settings, deployment: Deployment) -> Web:
    """Put the web process together; nothing connects yet.

    Raises:
        ConfigurationError: the settings or the plugins contradict each other.
    """
    registry = load(settings.addon_paths, settings.channels)
    queue = make_queue(deployment.queue_url)
    enqueue = TaskQueue(queue)
    supplies = gather_supplies(settings, deployment, sizes=POOLS, slots=_SLOTS, enqueue=enqueue)
    opened = open_channels(supplies, registry)
    enqueue.known = collect_tasks(registry, opened.hosts)
    ring = SaqRing(supplies.database, queue)
    services = Services(
        clock=supplies.clock,
        database=supplies.database,
        vault=supplies.vault,
        registry=registry,
        channels=opened.channels,
        ring=ring,
        public_url=settings.public_url,
        local_callbacks=settings.environment != "production",
    )
    mounted = [
        *mount_plugin_routes(services, opened.hosts),
        *mount_plugin_pages(services, opened.hosts),
    ]
    admin = _admin_site(services, settings, deployment)
    drop_failed(registry, opened.channels)
    app = Litestar(
        [
            *routes(services, queue=queue.ping),
            *mounted,
            *(admin.handlers if admin is not None else (start_handler(),)),
        ],
        exception_handlers=exception_handlers(services),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_LIMIT,
        lifespan=[_lifespan],
    )
    app.state.web = Web(app, services, supplies, opened, queue, ring, admin)
    finish(app)
    add_headers(app, https=settings.public_url.startswith("https://"))
    web: Web = app.state.web
    return web


def run(settings: Settings) -> None:
    """Run the web process until SIGTERM or SIGINT, on the fast event loop.

    Raises:
        ConfigurationError: it cannot start here; the sentence says why.
    """
    uvloop.run(serve(settings))


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    deployment: Deployment | None = None,
    ready: asyncio.Event | None = None,
) -> None:
    """Serve until told to stop, then finish the calls under way.

    Args:
        settings: the deployment's settings.
        stop: ends the process; without it SIGTERM and SIGINT do.
        deployment: what the caller has prepared already, and will release.
        ready: set once calls are answered.

    Raises:
        ConfigurationError: it cannot start here; the sentence says why.
    """
    logs.configure(settings)
    own = None
    if deployment is None:
        deployment = own = prepare(settings)
    try:
        with contextlib.closing(_listen(settings.host, settings.port)) as listening:
            web = build_web(settings, deployment)
            logs.configure(settings)  # some library sets up logging of its own on the way
            await web.open()
            try:
                with stopping(stop) as ending:
                    await _serve(web, settings, listening, ending, ready)
            finally:
                await web.close()
    finally:
        if own is not None:
            own.release()


class _Server(uvicorn.Server):
    """Leaves the signals to the process: uvicorn would end it before the others are done."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(
    web: Web,
    settings: Settings,
    listening: socket.socket,
    stop: asyncio.Event,
    ready: asyncio.Event | None,
) -> None:
    server = _Server(
        uvicorn.Config(
            web.app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="serve")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    _log.info(
        "web-ready", host=settings.host, port=settings.port, channels=sorted(web.services.channels)
    )
    if ready is not None:
        ready.set()
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
        _log.info("web-stopped")


@contextlib.asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    web: Web = app.state.web
    await web.open()
    try:
        yield
    finally:
        await web.close()


def _admin_site(services: Services, settings: Settings, deployment: Deployment) -> Any:
    """Build the admin; the interface and the webhooks go on without it."""
    try:
        from admin.site import AdminSite  # noqa: PLC0415 - half of the start-up time, and guarded

        return AdminSite(services, settings, deployment.database_url)
    except Exception:  # noqa: BLE001 - messages must go out whatever is wrong with the admin
        _log.exception("admin-failed")
        return None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Nobody can listen on {host} port {port}: {error.strerror}. "
            "Set PATCHBAY_HOST and PATCHBAY_PORT."
        ) from error
