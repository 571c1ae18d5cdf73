"""`patchbay demo`, started as its user would."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from core.commands.demo_processes import choose_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
WITHOUT_WORKER = (
    "import sys; from core.commands.demo import run; sys.exit(run(once=True, worker=False))"
)


@pytest.fixture
def demo_environment(cluster_dir: Path) -> dict[str, str]:
    """Give the demo a folder of its own for its data."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    return kept | {"PATCHBAY_DATA_DIR": str(cluster_dir)}


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Hold a port, as another program would."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port: int = holder.getsockname()[1]
        yield port


def run_demo(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        [sys.executable, *(arguments or ("-m", "core.cli", "demo", "--once"))],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_demo_sees_every_step_and_keeps_what_it_made(
    demo_environment: dict[str, str],
) -> None:
    """The demo ends with 0 after the whole journey, twice; logins stay, the key is new."""
    first, second = run_demo(demo_environment), run_demo(demo_environment)
    for done in (first, second):
        assert done.returncode == 0, done.stdout + done.stderr
        for step in ("queued", "sent", "delivered", "read", "suppressed", "exactly one message"):
            assert step in done.stdout
    logins = [re.findall(r"Log in as (\w+) with (\S+)", done.stdout) for done in (first, second)]
    assert [name for name, _ in logins[0]] == ["aurora", "bella", "operator"]
    assert logins[0] == logins[1]
    keys = [re.findall(r"Bearer (\S+)'", done.stdout)[0] for done in (first, second)]
    assert keys[0] != keys[1]


def test_without_a_worker_the_demo_fails(demo_environment: dict[str, str]) -> None:
    """When nobody sends, the demo says so and does not end with 0."""
    done = run_demo(demo_environment, "-c", WITHOUT_WORKER)
    assert done.returncode == 1
    assert "was not read" in done.stdout


def test_the_demo_serves_until_it_is_stopped(demo_environment: dict[str, str]) -> None:
    """The printed curl works, pages answer, and Ctrl-C ends everything in order."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "core.cli", "demo"],
        cwd=ROOT,
        env=demo_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if "Serving until Ctrl-C" in line:
            break
    try:
        pasted = next(line for line in said.splitlines() if line.startswith("curl "))
        answers = [
            subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, check=True)
            for _ in range(2)
        ]
        assert '"duplicate":false' in answers[0].stdout
        assert '"outcome":"queued"' in answers[0].stdout
        assert '"duplicate":true' in answers[1].stdout
        web = re.search(r"Start page +(http://\S+)/", said)
        assert web is not None
        for path in ("/", "/admin/", "/docs", "/health/ready"):
            assert httpx.get(web[1] + path, timeout=30).status_code == 200, path
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=90)
    assert "Stopping." in rest
    assert demo.returncode == 0
    time.sleep(0.2)
    with pytest.raises(httpx.ConnectError):
        httpx.get(web[1] + "/")


def test_a_taken_port_gives_the_next_one(taken_port: int) -> None:
    """A port that somebody holds is passed over."""
    assert taken_port < choose_port(taken_port) < taken_port + 100
