"""Named steps at which a process can be made to die or to stand still, for the exam alone.

Nothing happens unless `PATCHBAY_CRASHPOINT` names a step, and production refuses that setting.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from typing import Final

STEPS: Final = (
    "before_claim_commit",
    "after_claim",
    "before_begin_commit",
    "after_begin",
    "before_send",
    "after_answer",
    "before_record",
    "before_record_commit",
    "after_record",
    "intake_started",
    "intake_stored",
    "intake_queued",
    "intake_before_commit",
    "intake_committed",
    "hook_started",
    "hook_verified",
    "hook_stored",
    "hook_committed",
    "inbox_before_commit",
    "inbox_applied",
    "mid_answer",
)
"""The steps of claim, begin, send and record; of the intake of events; of providers' webhooks."""

_TOLD: Final = re.compile(r"([a-z_]+):([1-9][0-9]{0,6})(:stop)?")


@dataclass(slots=True)
class _Armed:
    """What is to happen: at which step, after how many passes, and by which signal."""

    step: str
    left: int
    number: signal.Signals

    def reach(self, step: str, passes: int) -> None:
        if step != self.step or self.left <= 0:
            return
        self.left -= passes
        if self.left <= 0:
            os.kill(os.getpid(), self.number)


_armed: _Armed | None = None


def fault_of(told: str) -> str:
    """Say what is wrong with a setting, or nothing."""
    found = _TOLD.fullmatch(told)
    if found is None or found[1] not in STEPS:
        return f"must be STEP:NTH or STEP:NTH:stop, where STEP is one of {', '.join(STEPS)}"
    return ""


def arm(told: str | None) -> None:
    """Prepare what the setting asks for: SIGKILL at the nth pass, or SIGSTOP with `:stop`."""
    global _armed  # noqa: PLW0603 - one process, one step; a parameter would reach through every layer
    _armed = None
    found = _TOLD.fullmatch(told) if told else None
    if found is not None:
        number = signal.SIGSTOP if found[3] else signal.SIGKILL
        _armed = _Armed(found[1], int(found[2]), number)


def crashpoint(step: str, passes: int = 1) -> None:
    """Die or stand still here if this step was named.

    Args:
        step: one of `STEPS`.
        passes: how many messages pass here together.
    """
    if _armed is not None:
        _armed.reach(step, passes)
