"""Builds and runs the worker process: SAQ for the plugins, five loops for the core.

PostgreSQL is the truth and SAQ a doorbell (rulings B7): each loop also looks by itself once a
second, so that a queue that is gone costs a second and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from core import logs
from core.channels.registry import load
from core.db import PoolSizes
from core.deployment import prepare
from core.notify.hosting import check_schema, gather_supplies, open_channels
from core.notify.services import Services
from tasks.callbacks import CallbackSender
from tasks.dispatch import SLOTS, Dispatcher
from tasks.errands import Errands
from tasks.inbox import apply_inbox
from tasks.jobs import collect_schedules, collect_tasks, drop_failed, make_worker
from tasks.line import Line
from tasks.looping import POLL_SECONDS, keep_going
from tasks.mailing import POLL_SECONDS as MAIL_SECONDS
from tasks.mailing import Mailer
from tasks.queue import TaskQueue, connect, make_queue
from tasks.ring import Bells, InProcessRing
from tasks.stopping import stopping
from tasks.timetable import TICK_SECONDS, Timetable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from core.deployment import Deployment
    from core.mailserver import MailServer
    from core.settings import Settings
    from tasks.jobs import QuietWorker

POOLS: Final = PoolSizes(app=2, batch=1, platform=1, engine=8)

_log = structlog.get_logger("patchbay.worker")


def work(settings: Settings) -> None:
    """Run a worker as this process until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: it cannot start here; the sentence says why.
    """
    logs.configure(settings)
    uvloop.run(run_worker(settings))


async def run_worker(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    deployment: Deployment | None = None,
    ready: asyncio.Event | None = None,
    poll: float = POLL_SECONDS,
) -> None:
    """Run a worker until told to stop, then finish what is in flight.

    Args:
        settings: the deployment's settings.
        stop: ends the worker; without it the process's signals do.
        deployment: what the caller has prepared already, and will release.
        ready: set once the loops run.
        poll: seconds between looks at the database when nobody rings.

    Raises:
        ConfigurationError: it cannot start here; the sentence says why.
    """
    own = None
    if deployment is None:
        deployment = own = prepare(settings)
    try:
        with stopping(stop) as ending:
            async with _worker(settings, deployment) as parts:
                services, saq, bells = parts
                if ready is not None:
                    ready.set()
                await _run(services, saq, bells, ending, poll, settings.mail_server)
    finally:
        if own is not None:
            own.release()


@contextlib.asynccontextmanager
async def _worker(
    settings: Settings, deployment: Deployment
) -> AsyncIterator[tuple[Services, QuietWorker, Bells]]:
    """Build the parts, connect them, and take them down in the reverse order."""
    registry = load(settings.addon_paths, settings.channels)
    queue = make_queue(deployment.queue_url)
    enqueue = TaskQueue(queue)
    supplies = gather_supplies(settings, deployment, sizes=POOLS, slots=SLOTS, enqueue=enqueue)
    bells = Bells()
    ring = InProcessRing(supplies.database, bells)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(supplies.close)
        await supplies.database.open()
        await check_schema(supplies.database, registry)
        opened = open_channels(supplies, registry)
        stack.push_async_callback(opened.close)
        enqueue.known = collect_tasks(registry, opened.hosts)
        schedules = collect_schedules(registry, opened.hosts, enqueue.known)
        drop_failed(registry, opened.channels)
        await connect(queue)
        stack.push_async_callback(queue.disconnect)
        stack.push_async_callback(ring.close)
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
        yield services, make_worker(queue, bells, enqueue.known, schedules), bells


async def _run(
    services: Services,
    saq: QuietWorker,
    bells: Bells,
    stop: asyncio.Event,
    poll: float,
    mail_server: MailServer | None,
) -> None:
    line = Line("database")
    dispatcher = Dispatcher(services, bells.lanes, line)
    timetable = Timetable(services)
    tick, answered = asyncio.Event(), asyncio.Event()
    asked, post = asyncio.Event(), asyncio.Event()
    callbacks = CallbackSender(services, answered)
    errands = Errands(services)
    steps: list[tuple[str, Callable[[], Awaitable[bool]], asyncio.Event, float]] = [
        ("dispatch", dispatcher.step, bells.lanes, poll),
        ("inbox", partial(apply_inbox, services), bells.inbox, poll),
        ("timetable", timetable.step, tick, TICK_SECONDS),
        ("callbacks", callbacks.step, answered, poll),
        ("errands", errands.step, asked, poll),
    ]
    if mail_server is not None:
        steps.append(("mail", Mailer(services, mail_server).step, post, MAIL_SECONDS))
    loops = [
        asyncio.create_task(keep_going(name, step, stop=stop, bell=bell, line=line, every=every))
        for name, step, bell, every in steps
    ]
    jobs = asyncio.create_task(saq.start(), name="saq")
    _log.info("worker-ready", channels=sorted(services.channels))
    try:
        await stop.wait()
    finally:
        _log.info("worker-stopping")
        for bell in (bells.lanes, bells.inbox, tick, answered, asked, post):
            bell.set()
        await asyncio.gather(*loops)
        await asyncio.gather(
            _drain(dispatcher), callbacks.drain(), _leave(errands), _stop_jobs(saq, jobs)
        )
        _log.info("worker-stopped")


async def _drain(dispatcher: Dispatcher) -> None:
    try:
        await dispatcher.drain()
    except Exception as error:  # noqa: BLE001 - the leases end by themselves
        _log.warning("leases-not-given-back", error=type(error).__name__)


async def _leave(errands: Errands) -> None:
    try:
        await errands.close()
    except Exception as error:  # noqa: BLE001 - the lease ends by itself
        _log.warning("job-not-given-back", error=type(error).__name__)


async def _stop_jobs(saq: QuietWorker, jobs: asyncio.Task[None]) -> None:
    with contextlib.suppress(Exception):  # the queue may be gone; nothing of ours is in it
        await saq.stop()
    with contextlib.suppress(Exception):
        await jobs
