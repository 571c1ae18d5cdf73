"""Steps at which a process ends: only when told to, only where there is such a step."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.crashpoint import STEPS, crashpoint, fault_of

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from core.crashpoint import arm, crashpoint
arm(sys.argv[1] or None)
for number in range(1, 6):
    print(number, flush=True)
    crashpoint("after_claim")
    crashpoint("after_begin", 0)
"""


@pytest.mark.parametrize(
    ("told", "printed", "ended"),
    [
        ("", 5, 0),
        ("after_claim:3", 3, -signal.SIGKILL),
        ("after_claim:6", 5, 0),
        ("after_begin:1", 5, 0),
    ],
)
def test_a_process_dies_at_the_named_pass(told: str, printed: int, ended: int) -> None:
    """The process is killed at the nth pass of the named step, and never without being told."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, told], cwd=ROOT, capture_output=True, check=False
    )
    assert len(done.stdout.split()) == printed
    assert done.returncode == ended


def test_an_unarmed_step_does_nothing() -> None:
    """In this very process nothing is armed, and a step is passed."""
    for step in STEPS:
        crashpoint(step, 1000)


@pytest.mark.parametrize("told", ["after_claim", "nowhere:1", "after_claim:0", "after_claim:1:x"])
def test_a_setting_that_names_no_step_is_a_fault(told: str) -> None:
    """A slip of the pen is told at the start; it would otherwise be a test that tests nothing."""
    assert "STEP:NTH" in fault_of(told)
    assert fault_of("after_claim:1") == fault_of("mid_answer:2:stop") == ""


def test_every_step_is_passed_somewhere() -> None:
    """Each named step stands exactly once in the product, and no other name does."""
    called = [
        step
        for folder in ("core", "tasks", "plugins", "admin")
        for path in (ROOT / folder).rglob("*.py")
        for step in re.findall(r"\bcrashpoint\(\"(\w+)\"", path.read_text())
    ]
    assert sorted(called) == sorted(STEPS)
