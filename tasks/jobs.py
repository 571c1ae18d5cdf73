"""What SAQ runs in a worker: the core's two bells, and the plugins' tasks and schedules."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from croniter import croniter  # type: ignore[import-untyped]  # it has no types
from saq import CronJob, Worker

from core.errors import PluginContractError
from core.logs import log_context
from core.notify.hosting import guarded
from tasks.queue import INBOX, LANES

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

    from saq import Job
    from saq.types import Function

    from core.channels.channel import Channel
    from core.channels.host import Host
    from core.channels.plugin import ChannelPlugin, Schedule, Task
    from core.channels.registry import Registry
    from tasks.queue import SteadyQueue
    from tasks.ring import Bells

CONCURRENCY: Final = 4
GRACE_SECONDS: Final = 20.0


_log = structlog.get_logger("patchbay.jobs")


class _WithoutArguments(logging.Filter):
    """Keeps back SAQ's own line about a failed job: it holds the arguments, ours does not."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record may be written."""
        return not str(record.msg).startswith("Error processing job")


logging.getLogger("saq").addFilter(_WithoutArguments())


class QuietWorker(Worker[Any]):
    """A SAQ worker that leaves signals to the process and outlives its queue's server."""

    SIGNALS: list[signal.Signals] = []  # noqa: RUF012 - SAQ declares it as it likes

    async def process(self) -> bool:
        """Run one job; a queue that breaks meanwhile is no reason to end."""
        try:
            return await super().process()
        except self._steady.faults as error:
            self._steady.line.lost(error)
            await asyncio.sleep(1.0)
            return False

    async def schedule(self, lock: int = 1) -> None:
        """Queue the jobs whose time has come."""
        await self._upkeep(super().schedule(lock))

    async def abort(self, abort_threshold: float) -> None:
        """Stop jobs somebody aborted."""
        await self._upkeep(super().abort(abort_threshold))

    async def worker_info(self, ttl: int = 60) -> Any:
        """Tell the queue that this worker lives."""
        return await self._upkeep(super().worker_info(ttl))

    async def stop(self) -> None:
        """Wait for the jobs that run, then let go of those that only wait for one."""
        self.event.set()
        running = [context["task"] for context in self.job_task_contexts.values()]
        if running:
            await asyncio.wait(running, timeout=GRACE_SECONDS)
            # What SAQ does with a result comes after the task.
            await asyncio.sleep(0.1)
        for task in self.tasks:
            task.cancel()
        await super().stop()

    async def _upkeep(self, work: Any) -> Any:
        try:
            return await work
        except self._steady.faults as error:
            self._steady.line.lost(error)
            return None

    @property
    def _steady(self) -> SteadyQueue:
        return cast("SteadyQueue", self.queue)


def make_worker(
    queue: SteadyQueue,
    bells: Bells,
    tasks: Mapping[str, Task],
    schedules: Sequence[tuple[str, Schedule]],
) -> QuietWorker:
    """Build the SAQ worker of this process.

    Args:
        queue: connected.
        bells: what the core's jobs set.
        tasks: the plugins' tasks by full name.
        schedules: full names of tasks, and when they run.
    """
    functions: list[tuple[str, Function[Any]]] = [
        (LANES, _bell(bells, LANES)),
        (INBOX, _bell(bells, INBOX)),
        *((name, _guarded_task(name, task)) for name, task in tasks.items()),
    ]
    crons = [
        _cron(name, tasks[name], schedule, place)
        for place, (name, schedule) in enumerate(schedules)
    ]
    return QuietWorker(
        queue,
        functions,
        concurrency=CONCURRENCY,
        cron_jobs=crons,
        dequeue_timeout=queue.patience,
        shutdown_grace_period_s=1,
    )


def collect_tasks(registry: Registry, hosts: Mapping[str, Host]) -> dict[str, Task]:
    """Ask every plugin for its tasks; one that cannot answer is taken out of service."""
    found: dict[str, Task] = {}
    for slug, host in hosts.items():
        if plugin := registry.plugins.get(slug):
            declared = guarded(registry, slug, "tasks", partial(_tasks_of, plugin, host)) or {}
            found |= declared
    return found


def collect_schedules(
    registry: Registry, hosts: Mapping[str, Host], tasks: Mapping[str, Task]
) -> list[tuple[str, Schedule]]:
    """Ask every plugin for its timetable; one that names a strange task is out of service."""
    found: list[tuple[str, Schedule]] = []
    for slug, host in hosts.items():
        if plugin := registry.plugins.get(slug):
            build = partial(_schedules_of, plugin, host, tasks)
            found += guarded(registry, slug, "schedules", build) or []
    return found


def drop_failed(registry: Registry, channels: dict[str, Channel]) -> None:
    """Forget the channels whose plugin was taken out of service meanwhile."""
    for slug in [slug for slug in channels if slug not in registry.plugins]:
        del channels[slug]


def _tasks_of(plugin: ChannelPlugin, host: Host) -> dict[str, Task]:
    return {f"{plugin.name}.{task.name}": task for task in plugin.tasks(host)}


def _schedules_of(
    plugin: ChannelPlugin, host: Host, tasks: Mapping[str, Task]
) -> list[tuple[str, Schedule]]:
    found = [(f"{plugin.name}.{one.task}", one) for one in plugin.schedules(host)]
    for name, schedule in found:
        if name not in tasks:
            raise PluginContractError(f"a schedule names the task {name!r}, which is not declared")
        if not croniter.is_valid(schedule.cron):
            raise PluginContractError(f"{schedule.cron!r} is no timetable for {name}")
    return found


def _bell(bells: Bells, name: str) -> Callable[..., Any]:
    async def set_bell(context: Mapping[str, Any]) -> None:
        del context
        await bells.press(name)

    return set_bell


def _guarded_task(name: str, task: Task) -> Callable[..., Any]:
    async def run(context: Mapping[str, Any], *, arguments: dict[str, str] | None = None) -> None:
        job: Job = context["job"]
        with log_context(job_id=job.id, task=name):
            try:
                await task.function(context, **(arguments or {}))
            except Exception:
                # SAQ would log the arguments too; this line holds none of them.
                _log.exception("task-failed", attempt=job.attempts, of=job.retries)
                raise

    return run


def _cron(name: str, task: Task, schedule: Schedule, place: int) -> CronJob[Any]:
    run = _guarded_task(name, task)
    # SAQ knows a cron job by this name only: two of one name would displace each other.
    run.__qualname__ = f"{name}@{place}"
    return CronJob(run, schedule.cron, timeout=task.timeout_seconds, retries=task.retries, ttl=60)
