"""A whole worker, on PostgreSQL and Redis, with a plugin in an add-on folder."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import statistics
import sys
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from fixture_house import TEST_KEYS
from smtp_receiver import receiving

import plugins
from core.errors import ConfigurationError
from core.keyring import SecretKey
from core.secret import Secret
from core.settings import Settings, read_settings
from core.testing.channels import Step
from tasks.looping import POLL_SECONDS
from tasks.queue import LANES, TaskQueue, connect, make_queue, prepare_queue, ring
from tasks.ring import CoalescingRing, SaqRing
from tasks.worker import run_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from uuid import UUID

    from fixture_postgres import FreshDatabase
    from fixture_redis import RedisServer
    from scripted_house import House

    from tasks.queue import SteadyQueue

PLUGIN = """
from core.channels.plugin import Schedule, Task
from core.testing.channels import ScriptedPlugin

ran = []
failing = []

async def note(context, **arguments):
    if failing:
        failing.pop()
        raise RuntimeError("once")
    ran.append((context["job"].function, arguments))

class WithTasks(ScriptedPlugin):
    def tasks(self, host):
        return [Task(name="note", function=note, retries=2)]

    def schedules(self, host):
        return [
            Schedule(task="note", cron="* * * * * */1"),
            Schedule(task="note", cron="0 0 1 1 *"),
        ]

plugin = WithTasks()
"""
BROKEN = """
from core.testing.channels import ScriptedPlugin

class Broken(ScriptedPlugin):
    name = "broken"

    def channel(self, host):
        raise RuntimeError("no")

plugin = Broken()
"""


@pytest.fixture
def addons(tmp_path: Path) -> Iterator[Path]:
    """Lay two plugins into an add-on folder, and forget them afterwards."""
    for slug, source in (("scripted", PLUGIN), ("broken", BROKEN)):
        (tmp_path / slug).mkdir()
        (tmp_path / slug / "plugin.py").write_text(source)
    before = list(plugins.__path__)
    yield tmp_path
    plugins.__path__[:] = before
    for name in [name for name in sys.modules if name.startswith(("plugins.scr", "plugins.brok"))]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def settings(migrated_database: FreshDatabase, addons: Path) -> Settings:
    """Give the settings of a worker with its queue in the same database."""
    key_id, _, encoded = TEST_KEYS.partition(":")
    return Settings(
        environment="test",
        database_url=migrated_database.database_url,
        migrations_database_url=migrated_database.migrations_url,
        queue_url=migrated_database.database_url,
        secret_keys=(SecretKey(key_id, Secret(encoded)),),
        addon_paths=(addons,),
        channels=("scripted", "broken"),
    )


@contextlib.asynccontextmanager
async def running(settings: Settings, *, poll: float = POLL_SECONDS) -> AsyncIterator[Any]:
    """Run a worker; yield the plugin's module; stop the worker as a signal would."""
    stop, ready = asyncio.Event(), asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, stop=stop, ready=ready, poll=poll))
    starting = asyncio.create_task(ready.wait())
    await asyncio.wait((worker, starting), timeout=10, return_when=asyncio.FIRST_COMPLETED)
    try:
        if worker.done():
            starting.cancel()
            await worker
        yield sys.modules["plugins.scripted.plugin"]
    finally:
        stop.set()
        await worker


@contextlib.asynccontextmanager
async def ringing(house: House, url: str) -> AsyncIterator[tuple[SaqRing, SteadyQueue]]:
    """Ring as a web process does."""
    queue = make_queue(url)
    await connect(queue)
    bell = SaqRing(house.services.database, queue)
    try:
        yield bell, queue
    finally:
        await bell.close()
        await queue.disconnect()


async def latencies(house: House, business: UUID, bell: SaqRing, times: int) -> list[float]:
    """Queue one message after the other and ring; return how long each took to be sent."""
    found: list[float] = []
    for number in range(1, times + 1):
        await asyncio.sleep(0.13)
        began = time.monotonic()
        await house.queue(business, wake=False)
        bell.lanes([(business, "scripted")])
        await house.until("status = 'sent'", number)
        found.append(time.monotonic() - began)
    return found


@pytest.mark.alone
async def test_a_ring_over_redis_is_heard_at_once(
    house: House, business: UUID, settings: Settings, redis_server: RedisServer
) -> None:
    """With Redis a message leaves at once, long before the worker looks by itself."""
    async with (
        running(replace(settings, queue_url=redis_server.url), poll=30),
        ringing(house, redis_server.url) as (bell, _),
    ):
        taken = await latencies(house, business, bell, 9)
    print(f"event to provider over Redis: p50 {statistics.median(taken) * 1000:.0f} ms")
    assert max(taken) < 3, taken
    assert statistics.median(taken) < 0.3, taken
    assert bell.lost_rings == bell.lost_wakes == 0


async def test_a_ring_over_postgresql_is_heard_at_once(
    house: House, business: UUID, settings: Settings
) -> None:
    """With the queue in PostgreSQL a message leaves soon after it was queued as well."""
    assert settings.queue_url
    await prepare_queue(settings.queue_url)
    async with running(settings, poll=30), ringing(house, settings.queue_url) as (bell, _):
        taken = await latencies(house, business, bell, 9)
    assert max(taken) < 3, taken
    assert bell.lost_rings == 0


@pytest.mark.alone
async def test_without_redis_a_message_waits_for_the_next_look(
    house: House, business: UUID, settings: Settings, own_redis: RedisServer
) -> None:
    """With Redis gone a message leaves within a second and a half; the worker does not spin."""
    async with (
        running(replace(settings, queue_url=own_redis.url)),
        ringing(house, own_redis.url) as (bell, _),
    ):
        own_redis.kill()
        taken = await latencies(house, business, bell, 4)
        print(f"event to provider without Redis: at most {max(taken) * 1000:.0f} ms")
        assert max(taken) < 1.5, taken
        assert bell.lost_rings
        spent = time.process_time()
        await asyncio.sleep(3)
        assert time.process_time() - spent < 0.3
        own_redis.start()
        back_at = time.monotonic()
        while not await heard(house, business, bell):
            assert time.monotonic() - back_at < 5


async def heard(house: House, business: UUID, bell: SaqRing) -> bool:
    """Tell whether a ring got through."""
    before = bell.lost_rings
    sent = await house.count("status = 'sent'")
    await house.queue(business, wake=False)
    bell.lanes([(business, "scripted")])
    await house.until("status = 'sent'", sent + 1)
    return bell.lost_rings == before


async def test_rings_that_nobody_hears_do_not_pile_up(
    house: House, settings: Settings, redis_server: RedisServer
) -> None:
    """While no worker runs, at most two rings of a kind wait in the queue."""
    assert settings.queue_url
    await prepare_queue(settings.queue_url)
    for url in (redis_server.url, settings.queue_url):
        async with ringing(house, url) as (_, queue):
            for _ in range(20):
                await ring(queue, LANES)
            assert 1 <= await queue.count("queued") <= 2


async def test_many_rings_become_few(house: House, business: UUID) -> None:
    """A burst of a hundred rings wakes lanes in a few transactions and presses a few times."""
    pressed: list[float] = []

    async def press(_bell: str) -> None:
        pressed.append(time.monotonic())

    bell = CoalescingRing(house.services.database, press)
    for _ in range(100):
        bell.lanes([(business, "scripted")])
        await asyncio.sleep(0.002)
    await bell.close()
    assert 2 <= len(pressed) <= 8
    assert all(b - a >= 0.045 for a, b in pairwise(pressed))


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
async def test_tasks_and_schedules_of_plugins_run(
    house: House, settings: Settings, redis_server: RedisServer, kind: str
) -> None:
    """A plugin's task runs when queued, again after a failure, and when its time has come."""
    assert settings.queue_url
    await prepare_queue(settings.queue_url)
    url = redis_server.url if kind == "redis" else settings.queue_url
    async with (
        running(replace(settings, queue_url=url)) as module,
        ringing(house, url) as (_, queue),
    ):
        tasks = TaskQueue(queue)
        tasks.known = {"scripted.note": module.plugin.tasks(None)[0]}
        await tasks("scripted.note", timeout="of the task's own", key="7")
        wanted = ("scripted.note", {"timeout": "of the task's own", "key": "7"})
        for _ in range(100):
            names = {name for name, _ in module.ran}
            if wanted in module.ran and "scripted.note@0" in names:
                break
            await asyncio.sleep(0.1)
    assert wanted in module.ran
    assert {name for name, _ in module.ran} == {"scripted.note", "scripted.note@0"}


async def test_a_broken_plugin_does_not_stop_the_worker(
    house: House, business: UUID, settings: Settings, redis_server: RedisServer
) -> None:
    """A plugin that cannot build its channel is left out; the other one sends."""
    async with running(replace(settings, queue_url=redis_server.url)) as module:
        module.plugin.scripted.then(Step.ACCEPT)
        await house.queue(business)
        await house.until("status = 'sent'", 1)
        assert len(module.plugin.scripted.sent) == 1
    assert module.plugin.scripted.closed


async def test_a_worker_says_what_is_missing(
    settings: Settings, superuser: Any, fresh_database: Any, redis_server: RedisServer
) -> None:
    """On a database without tables, or a queue without them, one sentence names the command."""
    empty: FreshDatabase = fresh_database()
    without_tables = replace(settings, database_url=empty.database_url, queue_url=redis_server.url)
    await superuser.execute("DROP SCHEMA IF EXISTS saq CASCADE")
    for one in (without_tables, settings):
        with pytest.raises(ConfigurationError, match="run `patchbay migrate`"):
            async with asyncio.timeout(20):
                await run_worker(one, stop=asyncio.Event())


async def test_a_worker_writes_to_people_about_alerts(
    house: House, business: UUID, settings: Settings
) -> None:
    """With a mail server in its settings; a mail comes without anybody ringing."""
    async with receiving() as receiver:
        server = read_settings(
            {
                "PATCHBAY_SMTP_URL": f"smtp://127.0.0.1:{receiver.port}",
                "PATCHBAY_MAIL_FROM": "alerts@example.com",
            }
        ).mail_server
        await house.superuser.execute(
            "WITH anna AS (INSERT INTO app_user (username, password, email, active) "
            "VALUES ('anna', 'x', 'anna@example.com', true) RETURNING id) "
            "INSERT INTO membership (user_id, business_id, role) SELECT id, $1, 'owner' FROM anna",
            business,
        )
        await house.superuser.execute(
            "INSERT INTO alert (business_id, kind, created_at) "
            "VALUES ($1, 'quality-low', now() - interval '10 s')",
            business,
        )
        async with running(replace(settings, mail_server=server)):
            async with asyncio.timeout(30):
                while not receiver.mails:
                    await asyncio.sleep(0.05)
    assert [who for who, _ in receiver.mails] == ["anna@example.com"]
