"""The simulator as a program: options, ports, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import httpx
import pytest

from plugins.whatsapp.simulator.__main__ import main
from plugins.whatsapp.simulator.options import Options, OptionsError, read_options
from plugins.whatsapp.simulator.server import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[4]
READY = "simulator ready "


@pytest.fixture
def run() -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list for the programs a test starts; they are ended afterwards."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for program in started:
        program.kill()
        program.communicate(timeout=10)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the simulator."""
    return subprocess.Popen(
        [sys.executable, "-m", "plugins.whatsapp.simulator", *arguments],
        cwd=ROOT,
        env={**os.environ, "SIMULATOR_APP_SECRET": "from-the-environment"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_address(url: str) -> tuple[str, int]:
    """Return host and port of an address."""
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_program_says_when_it_is_ready_and_ends_cleanly(
    run: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    """One line when it listens, status 0 after a signal, nothing on standard error."""
    program = start("--port", "0", "--seed", "1")
    run.append(program)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith(READY)
    with urlopen(line.removeprefix(READY).strip() + "/simulator/health", timeout=5) as answer:  # noqa: S310 - our own loopback address
        assert json.load(answer)["status"] == "ok"
    program.send_signal(number)
    out, err = program.communicate(timeout=10)
    assert (program.returncode, out, err) == (0, "", "")


def test_program_ends_although_a_caller_waits_for_ever(
    run: list[subprocess.Popen[str]],
) -> None:
    """An answer that never comes does not keep the program from ending."""
    program = start("--port", "0")
    run.append(program)
    assert program.stdout is not None
    url = program.stdout.readline().removeprefix(READY).strip()
    fault = {"kind": "timeout_before", "edge": ""}
    assert httpx.post(f"{url}/simulator/faults", json=fault, trust_env=False).status_code == 200
    with (
        httpx.Client(trust_env=False) as client,
        socket.create_connection(read_address(url)) as caller,
    ):
        caller.sendall(b"GET /v25.0/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(200):
            if client.get(f"{url}/simulator/faults").json() == {"faults": []}:
                break
        program.terminate()
        program.communicate(timeout=10)
    assert program.returncode == 0


def test_taken_port_gives_the_next_free_one_and_says_so(
    run: list[subprocess.Popen[str]],
) -> None:
    """A second simulator starts beside the first."""
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        program = start("--port", str(port))
        run.append(program)
        assert program.stdout is not None
        used = int(program.stdout.readline().rsplit(":", 1)[1])
        program.terminate()
        _, err = program.communicate(timeout=10)
    assert used > port
    assert err == f"Port {port} is taken; the simulator uses {used}.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "many"], "--port must be a whole number"),
        (["--delay-ms", "-5"], "--delay-ms must be a whole number"),
        (["--webhook-url", "ftp://x"], "--webhook-url must begin with"),
        (["--webhook-url", "http://"], "--webhook-url must begin with"),
        (["--port", "0", "--journal", "/nowhere/at/all/journal"], "cannot start"),
        (["--host", "203.0.113.1", "--port", "9100"], "cannot start"),
    ],
)
def test_unusable_option_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option ends the program with status 2 and no stack trace."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_command_line_wins_over_the_environment() -> None:
    """Options come from the command line, then the environment, then the defaults."""
    environment = {
        "SIMULATOR_PORT": "9200",
        "SIMULATOR_APP_SECRET": "s",
        "SIMULATOR_VERIFY_WEBHOOK": "yes",
        "SIMULATOR_JOURNAL": "j.jsonl",
    }
    options = read_options(["--port", "9300", "--seed", "5"], environment)
    assert (options.port, options.seed, options.app_secret) == (9300, 5, "s")
    assert options.verify_webhook is True
    assert options.journal == Path("j.jsonl")
    assert options.host == Options().host
    assert read_options([], {}) == Options()


def test_superscript_digit_is_no_number() -> None:
    """Only plain digits are numbers."""
    with pytest.raises(OptionsError, match="--seed"):
        read_options(["--seed", "²"], {})
