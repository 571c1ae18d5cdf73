"""Starts the product's processes quickly: it has imported everything, and forks.

Run as a program it reads one JSON object a line, `{"argv": [...], "env": {...}, "cwd": ...,
"log": ...}`, answers with the child's process id, and tells when a child ended. The children are
processes of their own in every respect; they only spare themselves the time of importing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_IMPORTED = (
    "admin.site",
    "core.asgi",
    "core.commands.serving",
    "plugins.console.plugin",
    "plugins.whatsapp.plugin",
    "tasks.redis_queue",
    "tasks.worker",
)


@dataclass
class Child:
    """A process of the nursery, used like one of `subprocess`."""

    pid: int
    returncode: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it, if it still runs."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The parent of the exam's processes, seen from the tests."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children: dict[int, Child] = {}
        self._born: list[Child] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, argv: list[str], env: dict[str, str], cwd: Path, log: Path) -> Child:
        """Start one program of ours."""
        told = {"argv": argv, "env": env, "cwd": str(cwd), "log": str(log)}
        with self._news:
            before = len(self._born)
            self._write(json.dumps(told))
            assert self._news.wait_for(lambda: len(self._born) > before, 120)
            return self._born[before]

    def close(self) -> None:
        """Kill what is left, then end."""
        for child in self._born:
            child.kill()
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()  # type: ignore[union-attr]
        self._popen.wait(10)
        self._reader.join(10)
        self._popen.stdout.close()  # type: ignore[union-attr]

    def _write(self, line: str) -> None:
        stdin: Any = self._popen.stdin
        stdin.write(line + "\n")
        stdin.flush()

    def _read(self) -> None:
        for line in self._popen.stdout or ():
            told = json.loads(line)
            with self._news:
                if "born" in told:
                    child = self._children[told["born"]] = Child(told["born"])
                    self._born.append(child)
                else:
                    child = self._children[told["died"]]
                    child.returncode = told["status"]
                    child.ended.set()
                self._news.notify_all()


def _tell(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _become(told: dict[str, Any]) -> None:
    """Be one program: its environment, its folder, its log; never returns."""
    status = 70
    try:
        log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        empty = os.open(os.devnull, os.O_RDONLY)
        for place, descriptor in enumerate((empty, log, log)):
            os.dup2(descriptor, place)
        os.chdir(told["cwd"])
        os.environ.clear()
        os.environ.update(told["env"])
        sys.argv = told["argv"]
        from core.cli import main

        status = main() or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(bool(error.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _raise() -> None:
    """Read what to start, start it, and tell who ended; ends with its input."""
    for name in _IMPORTED:
        __import__(name)
    # A thread would be lost in the children; the input is looked at without waiting instead.
    os.set_blocking(0, False)
    pending = b""
    while True:
        try:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            pending += chunk
        except BlockingIOError:
            time.sleep(0.005)
        *whole, pending = pending.split(b"\n")
        for line in whole:
            pid = os.fork()
            if not pid:
                _become(json.loads(line))
            _tell(born=pid)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                _tell(died=pid, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _raise()
