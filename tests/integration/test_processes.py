"""The real processes: they start with nothing but addresses, stop when told, leave no file."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from fixture_house import TEST_KEYS, process_environment

from core.asgi import serve
from core.errors import ConfigurationError
from core.keyring import SecretKey
from core.secret import Secret
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_postgres import FreshDatabase
    from fixture_redis import RedisServer

ROOT = Path(__file__).parents[2]
READ = "from core.settings import read_settings; "
WEB = READ + "from core.asgi import run; run(read_settings())"
WORKER = READ + "from tasks.worker import work; work(read_settings())"
START_SECONDS = 60


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Put the test run's logging back after a process was run inside it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def start(code: str, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start one of the product's processes in an empty folder, its log beside the folder."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=home,
            env=environment
            | {
                "HOME": str(home),
                "TMPDIR": str(home),
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stderr=log,
        )


async def wait_for_line(folder: Path, word: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has logged a word."""
    ends_at = time.monotonic() + START_SECONDS
    while word not in (text := (folder / "log").read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < ends_at, text
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("code", "word"), [(WEB, "web-ready"), (WORKER, "worker-ready")], ids=["web", "worker"]
)
async def test_a_process_starts_alone_and_ends_when_told(
    migrated_database: FreshDatabase,
    redis_server: RedisServer,
    free_port: Callable[[], int],
    tmp_path: Path,
    code: str,
    word: str,
) -> None:
    """With addresses only it starts; SIGTERM ends it with 0; it has written no file."""
    environment = process_environment(
        migrated_database,
        PATCHBAY_QUEUE_URL=redis_server.url,
        PATCHBAY_PORT=str(free_port()),
        PATCHBAY_CHANNELS="",
    )
    process = start(code, environment, tmp_path)
    try:
        await wait_for_line(tmp_path, word, process)
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()
    assert list((tmp_path / "home").rglob("*")) == []
    assert '"level":"error"' not in (tmp_path / "log").read_text()


@pytest.fixture
def settings(
    migrated_database: FreshDatabase, redis_server: RedisServer, free_port: Callable[[], int]
) -> Settings:
    """Give the settings of a web process without channels."""
    key_id, _, encoded = TEST_KEYS.partition(":")
    return Settings(
        environment="test",
        database_url=migrated_database.database_url,
        migrations_database_url=migrated_database.migrations_url,
        queue_url=redis_server.url,
        secret_keys=(SecretKey(key_id, Secret(encoded)),),
        channels=(),
        port=free_port(),
    )


async def test_the_web_process_answers_and_guards(settings: Settings) -> None:
    """Start page, health, admin and interface answer; every answer carries the headers."""
    stop, ready = asyncio.Event(), asyncio.Event()
    web = asyncio.create_task(serve(settings, stop=stop, ready=ready))
    base = f"http://127.0.0.1:{settings.port}"
    try:
        async with asyncio.timeout(START_SECONDS):
            await asyncio.wait(
                {web, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as client:
                found = {
                    path: await client.get(path)
                    for path in ("/", "/docs", "/health/ready", "/admin/", "/v1/businesses/x")
                }
                missing = await client.get("/connect/whatsapp/start")
    finally:
        stop.set()
        await web
    statuses = {path: answer.status_code for path, answer in found.items()}
    assert statuses == {
        "/": 200,
        "/docs": 200,
        "/health/ready": 200,
        "/admin/": 200,
        "/v1/businesses/x": 401,
    }
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("application/problem+json")
    for answer in (*found.values(), missing):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "referrer-policy" in answer.headers
        assert "server" not in answer.headers
    assert found["/v1/businesses/x"].headers["cache-control"] == "no-store"
    with pytest.raises(httpx.ConnectError):
        httpx.get(base, trust_env=False)


async def test_a_port_that_is_taken_is_one_sentence(settings: Settings) -> None:
    """Nobody guesses why it does not start: the port and the two settings are named."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match="PATCHBAY_PORT"),
    ):
        await serve(replace(settings, port=taken.getsockname()[1]), stop=asyncio.Event())


async def test_a_database_without_tables_is_one_sentence(
    settings: Settings, fresh_database: Any
) -> None:
    """A web process on a database that was not migrated names the command."""
    empty: FreshDatabase = fresh_database()
    with pytest.raises(ConfigurationError, match="run `patchbay migrate`"):
        await serve(replace(settings, database_url=empty.database_url), stop=asyncio.Event())
