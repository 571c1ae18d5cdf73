"""Processor time of processes, read from /proc: what a message costs, whoever else is busy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM = 11, 12, 13, 14
"""Places in /proc/<pid>/stat behind the name."""


def cpu_seconds(pid: int) -> float:
    """Return what a process used so far, itself."""
    fields = _fields(pid)
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS


def tree_seconds(root: int) -> float:
    """Return what a process and its children used, those that have ended too."""
    fields = _fields(root)
    ended = int(fields[_ENDED_USER]) + int(fields[_ENDED_SYSTEM])
    return cpu_seconds(root) + ended / _TICKS + sum(map(_quietly, _children(root)))


def resident_mebibytes(pid: int) -> float:
    """Return how much memory a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def postmaster(data: Path) -> int:
    """Return the process id of the server on a data folder."""
    return int((data / "postmaster.pid").read_text().split()[0])


def _children(root: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{root}/task/{root}/children").read_text().split()]


def _quietly(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:  # it ended between the list and the look, and its parent counts it
        return 0.0


def _fields(pid: int) -> list[str]:
    """Return the numbers behind the name, which may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
