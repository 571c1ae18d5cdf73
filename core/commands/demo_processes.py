"""The demo's child processes: the same programs a real installation runs, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from core.commands.frame import CommandError
from core.settings import environment_of_children

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import BufferedWriter

_PATIENCE_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 25.0
_PORTS_TRIED: Final = 100
_LAST_LINES: Final = 15


def choose_port(wanted: int) -> int:
    """Return the wanted port, or the next one on loopback that nobody holds.

    Raises:
        CommandError: a hundred ports in a row are taken.
    """
    for port in range(wanted, wanted + _PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise CommandError(f"The ports {wanted} to {wanted + _PORTS_TRIED - 1} are all taken.")


@dataclass(slots=True)
class Children:
    """The processes of one demo; they end with it.

    Args:
        logs: the folder their output goes to, one file each.
    """

    logs: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _files: list[BufferedWriter] = field(default_factory=list)

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start one program of this Python in a process group of its own.

        A group of its own keeps a Ctrl-C of the terminal from reaching the children, so that the
        demo can end them in order.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        output = (self.logs / f"{name}.log").open("wb")
        self._files.append(output)
        self._running[name] = subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-m", *arguments],
            env=environment_of_children(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[2],
        )

    def wait_for(self, name: str, url: str) -> None:
        """Wait until a child answers at this address.

        Raises:
            CommandError: it ended, or did not answer in time; holds its last words.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.check(name)
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
        raise CommandError(f"The {name} did not answer at {url}.\n{self._last_words(name)}")

    def check(self, name: str) -> None:
        """Notice a child that ended by itself.

        Raises:
            CommandError: it ended; holds its last words.
        """
        status = self._running[name].poll()
        if status is not None:
            words = self._last_words(name)
            raise CommandError(f"The {name} ended with status {status}.\n{words}")

    def check_all(self) -> None:
        """Notice any child that ended by itself."""
        for name in self._running:
            self.check(name)

    def stop(self) -> None:
        """End the children, the last one first; what does not end in time is killed."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in reversed(self._running.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
        for file in self._files:
            file.close()
        self._files.clear()

    def _last_words(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([*(f"  {line}" for line in lines), f"  (all of it: {path})"])
